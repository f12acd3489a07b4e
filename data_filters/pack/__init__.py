"""Packing: cutting kept clips and writing them as WebDataset shards."""
