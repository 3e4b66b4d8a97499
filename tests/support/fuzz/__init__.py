"""Nearly right inputs for every reader of outside bytes: each must be read, or refused in one line with exit code 2."""
