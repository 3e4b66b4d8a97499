"""One loop trains both families."""
