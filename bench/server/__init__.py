"""Scores over HTTP: `rankbench serve`. Needs the extra `serve`."""
