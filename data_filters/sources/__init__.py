"""Sources: the videos of an input, as files or in archives, with sidecars, exclusions, and the disk space they need."""
