"""Weights: published checkpoints, conversion between formats, warm starts."""
