"""Sources: which videos take part, and what lies with them (archives, sidecar files, exclusions, disk space)."""
