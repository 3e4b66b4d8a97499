"""What is wrong with a log, or looks so, before anything is trained on it."""
