"""Generative rankers: sequence backbones, token layouts and scoring heads. Imports kernels and bench.contract only."""
