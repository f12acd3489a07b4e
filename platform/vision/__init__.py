"""Video and image work shared by curation, training and evaluation."""
