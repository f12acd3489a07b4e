"""The registry names every dimension of the benchmarks, loads those with an implementation, and is light."""

import subprocess
import sys

import pytest

from framemill.eval.dimensions.base import Dimension
from framemill.eval.dimensions.registry import DIMENSIONS, VBENCH_DIMENSIONS, load_dimension
from framemill.eval.scoring import I2V, VBENCH_QUALITY, VBENCH_SEMANTIC
from framemill.platform.errors import RequestError


def test_every_dimension_of_the_totals_is_registered() -> None:
    assert set(VBENCH_DIMENSIONS) == {*VBENCH_QUALITY.dimensions, *VBENCH_SEMANTIC.dimensions}
    assert set(DIMENSIONS) == {*VBENCH_DIMENSIONS, *I2V.dimensions}


def test_a_dimension_has_an_implementation_or_an_obstacle() -> None:
    for name, entry in DIMENSIONS.items():
        if entry.measurable:
            assert isinstance(load_dimension(name), Dimension) and not entry.obstacle
        else:
            assert entry.network is not None and entry.network.weights in entry.obstacle


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(RequestError, match="dimensions=beauty: must be one of subject_consistency, "):
        load_dimension("beauty")


def test_configs_and_totals_load_nothing_heavy() -> None:
    program = (
        "import sys; from framemill.eval import EvaluateConfig, ScoreConfig, vbench_totals; "
        "print(*({'cv2', 'mlflow', 'numpy', 'ray', 'torch'} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.split() == []
