"""Packing: kept clips are cut and written as WebDataset shards."""
