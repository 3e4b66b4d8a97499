"""`rankbench data init`: a file that nobody has described, and the YAML that might describe it."""
