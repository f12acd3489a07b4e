"""Deduplication: exact, near and semantic duplicates."""
