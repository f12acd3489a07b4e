"""VBench evaluation: suites, dimensions, the job that measures videos, the official totals and the report.

Public names are imported at their first use, so that a config alone loads neither Ray nor NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framemill.eval.config import EvaluateConfig, ScoreConfig
    from framemill.eval.pipeline import EvaluateResult, evaluate
    from framemill.eval.result_file import ScoreResult, score
    from framemill.eval.scoring import vbench_i2v_totals, vbench_totals
    from framemill.eval.summary import DimensionScore, EvaluationSummary

__all__ = [
    "DimensionScore",
    "EvaluateConfig",
    "EvaluateResult",
    "EvaluationSummary",
    "ScoreConfig",
    "ScoreResult",
    "evaluate",
    "score",
    "vbench_i2v_totals",
    "vbench_totals",
]

_MODULES = {
    "DimensionScore": "summary",
    "EvaluateConfig": "config",
    "EvaluateResult": "pipeline",
    "EvaluationSummary": "summary",
    "ScoreConfig": "config",
    "ScoreResult": "result_file",
    "evaluate": "pipeline",
    "score": "result_file",
    "vbench_i2v_totals": "scoring",
    "vbench_totals": "scoring",
}
"""Module of this package that defines each public name. No module has the name of a function, which it would hide."""


def __getattr__(name: str) -> Any:
    """Imports the module that defines a public name, and returns the object of that name."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
