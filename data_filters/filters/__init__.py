"""Filters: each measures one property of a clip on the CPU, during the decode pass."""
