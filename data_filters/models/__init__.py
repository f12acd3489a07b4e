"""Scores that networks measure after the decode pass, on Ray actors that may share a GPU."""
