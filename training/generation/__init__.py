"""`framemill generate`: videos from a model and prompts."""
