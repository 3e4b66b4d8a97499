"""Predictions, metrics and how sure their differences are."""
