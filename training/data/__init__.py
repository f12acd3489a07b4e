"""Training data: latent datasets, aspect-ratio buckets, the batch planner and the loader."""
