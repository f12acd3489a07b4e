"""Weights of a Linear DiT: published checkpoints, conversion between formats, warm starts."""
