"""Figures: one function each, data in, Figure out. Colours by family, colour-blind safe (Okabe & Ito 2008)."""

from .board import CAPTIONS, write
from .style import COLOURS, DPI, MARKERS, STYLE, save

__all__ = ["CAPTIONS", "COLOURS", "DPI", "MARKERS", "STYLE", "save", "write"]
