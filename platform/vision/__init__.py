"""Video decoding and encoding, and image networks, shared by curation, training and evaluation."""
