"""Captions: captioners, checks on what they say, and which captions a clip gets."""
