"""Training runs: the driver, the ranks, DeepSpeed, checkpoints and metrics."""
