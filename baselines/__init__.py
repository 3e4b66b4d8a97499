"""Classical rankers, one readable file each: counting floors, logistic regression, pooled-history networks, DIN."""
