"""framemill doctor: what this machine has and lacks, and what to do about it."""

from framemill.platform.doctor import DoctorConfig

CONFIG = DoctorConfig


def run(config: DoctorConfig) -> int:
    from framemill.platform.doctor import doctor

    return doctor(config)
