"""Captions: captioners, checks on caption texts, and the choice of a clip's captions."""
