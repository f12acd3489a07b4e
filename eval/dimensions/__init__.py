"""Dimensions of VBench: one file with one class each, and one line each in `registry.py`."""
