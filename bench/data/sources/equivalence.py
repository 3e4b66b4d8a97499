"""Which differences matter, unless a data set says otherwise."""

MARGIN = 0.002
"""Two models whose metric differs by at most this count as equivalent: a change of a system is not worth less."""
