"""framemill doctor: what this machine has and lacks, and what to do about it."""

from framemill.platform.doctor import DoctorConfig

CONFIG = DoctorConfig


def run(config: DoctorConfig) -> int:
    """Prints the findings and returns 1 if something required is missing, else 0."""
    from framemill.platform.doctor import doctor

    return doctor(config)
