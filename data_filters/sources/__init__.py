"""Sources: the videos of an input, as files or in archives, with sidecars, exclusions, and checks of disk space."""
