"""Semantic ids: items as a few discrete codes, from coarse to fine, so that similar items share the first of them."""
