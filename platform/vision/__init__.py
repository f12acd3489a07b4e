"""Video decoding, encoding and image networks, shared by curation, training and evaluation."""
