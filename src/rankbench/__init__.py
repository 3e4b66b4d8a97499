"""One import name for the four top-level folders, which are linked in here."""

__version__ = "0.1.0"
