"""Pages of docs/reference/, made of the code, so that they cannot say what it does not."""
