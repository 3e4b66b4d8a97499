"""Questions that one run cannot answer: many experiments, read as one table and one figure."""
