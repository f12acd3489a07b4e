"""VBench: suites, dimensions, the engine that measures them, official totals, report.

Names are imported when first used, so that reading a config does not load Ray.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["EvaluateConfig", "ScoreConfig", "evaluate", "vbench_i2v_totals", "vbench_totals"]

_HOMES = {
    "EvaluateConfig": "config",
    "ScoreConfig": "config",
    "evaluate": "evaluate",
    "vbench_i2v_totals": "scoring",
    "vbench_totals": "scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"framemill.eval has no {name}")
    return getattr(importlib.import_module(f"framemill.eval.{_HOMES[name]}"), name)
