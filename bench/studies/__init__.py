"""Many experiments that answer one question: searches for the best settings."""
