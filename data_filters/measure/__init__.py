"""Measurement: the one decode pass over a source that finds clips and runs the filters."""
