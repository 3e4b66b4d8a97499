"""Whether runs that somebody else made can stand beside ours: read strictly, recomputed where possible, bounded elsewhere."""
