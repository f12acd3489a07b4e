"""framemill doctor: what this machine has and lacks, and what to do about it."""

from framemill.platform.doctor import DoctorConfig

CONFIG = DoctorConfig


def run(config: DoctorConfig) -> int:
    """Prints the findings; 1 if something required is missing."""
    from framemill.platform.doctor import doctor

    return doctor(config)
