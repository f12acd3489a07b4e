"""Training data: clips read for a stage, datasets of latents, the batch planner and the loader."""
