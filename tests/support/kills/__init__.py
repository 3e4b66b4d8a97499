"""Commands that are killed at random moments and started again: what they leave must be what an undisturbed run leaves."""
