"""`framemill encode`: a dataset of video becomes a dataset of latents and text embeddings."""
