"""Measurement: one decode pass over each source splits it into clips and runs the filters."""
