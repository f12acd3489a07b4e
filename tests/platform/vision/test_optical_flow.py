"""Flow networks against the same run by torch itself, and against a closed form."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.optical_flow import OnnxFlow, RaftFlow
from tests.support.flow_files import closed_form, closed_form_flow, random_raft


def pictures(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def raft_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_raft(tmp_path_factory.mktemp("raft") / "raft_small.pth")


def torchs_own(file: Path, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    network = raft_small(weights=None).eval()
    network.load_state_dict(torch.load(file, weights_only=True))
    one, other = (torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255 * 2 - 1 for rgb in (earlier, later))
    with torch.inference_mode():
        return network(one, other)[-1].permute(0, 2, 3, 1).numpy()


def test_raft_is_torchvisions(raft_file: Path) -> None:
    earlier, later = pictures(4, 128, 160).reshape(2, 2, 128, 160, 3)
    ours = RaftFlow(str(raft_file))(earlier, later)
    assert ours.dtype == np.float32 and ours.shape == (2, 128, 160, 2) and np.abs(ours).max() > 0.1
    np.testing.assert_allclose(ours, torchs_own(raft_file, earlier, later), atol=1e-3)


def test_raft_takes_any_size(raft_file: Path) -> None:
    """Pictures whose edges were repeated by hand up to multiples of 8 have the same flow inside."""
    earlier, later = pictures(2, 130, 163).reshape(2, 1, 130, 163, 3)
    edges = ((0, 0), (3, 3), (2, 3), (0, 0))
    padded = torchs_own(raft_file, np.pad(earlier, edges, mode="edge"), np.pad(later, edges, mode="edge"))
    np.testing.assert_allclose(RaftFlow(str(raft_file))(earlier, later), padded[:, 3:133, 2:165], atol=1e-3)


def test_the_weights_say_how_large_raft_is(tmp_path: Path) -> None:
    torch.save(raft_large(weights=None).state_dict(), tmp_path / "large.pth")
    assert sum(value.numel() for value in RaftFlow(str(tmp_path / "large.pth")).network.parameters()) > 5_000_000


@pytest.mark.parametrize("batch", [None, 1])
def test_an_onnx_file_is_run_as_it_is(tmp_path: Path, batch: int | None) -> None:
    """Also one made for a single pair of a single size."""
    size = (64, 96) if batch else (None, None)
    file = closed_form(tmp_path / "flow.onnx", size=size, batch=batch)
    earlier, later = pictures(6, 64, 96).reshape(2, 3, 64, 96, 3)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    ours = OnnxFlow(str(file), digest)(earlier, later)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, closed_form_flow(earlier, later), atol=1e-4)


class Deadly:
    def __reduce__(self) -> tuple[object, ...]:
        return exit, ("unpickled",)


def test_wrong_files_are_one_line(tmp_path: Path, raft_file: Path) -> None:
    closed_form(tmp_path / "flow.onnx", size=(64, 96))
    (tmp_path / "words").write_text("no network\n")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Deadly()))
    torch.save({"stem": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    wrong = [
        (RaftFlow, "absent", "", "there is no such file"),
        (RaftFlow, raft_file, "0" * 64, "its sha256 is [0-9a-f]{64}, must be 0000"),
        (RaftFlow, "words", "", "must be a state dict"),
        (RaftFlow, "pickle.pth", "", "must be a state dict"),
        (RaftFlow, "list.pth", "", "must be a state dict"),
        (RaftFlow, "other.pth", "", "does not hold the weights"),
        (OnnxFlow, "absent", "", "there is no such file"),
        (OnnxFlow, "words", "", "is no ONNX model"),
    ]
    for network, name, digest, message in wrong:
        with pytest.raises(RequestError, match=message) as error:
            network(str(tmp_path / name), digest)
        assert "\n" not in str(error.value) and str(tmp_path / name) in str(error.value)
    with pytest.raises(FramemillError, match=r"does not take pictures \(1, 3, 32, 32\)"):
        OnnxFlow(str(tmp_path / "flow.onnx"))(pictures(1, 32, 32), pictures(1, 32, 32))
