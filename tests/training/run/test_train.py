"""Real runs on two Ray workers: one undisturbed; one killed in mid-stage, started again, and robbed of a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from framemill.jobs.cli import main
from framemill.platform.audit import audit
from framemill.platform.compose import compose
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.mlflow_store import mlflow_client
from framemill.platform.tracking import tracking_uri
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.loader import Loader
from framemill.training.model import LinearDiT, rectified_flow
from framemill.training.run.checkpoints import latest_checkpoint, list_checkpoints
from framemill.training.run.config import TrainConfig
from framemill.training.run.deepspeed_engine import checkpoint_classes
from framemill.training.run.metrics_file import METRICS
from framemill.training.run.train import train
from tests.support.console import JOB_S, START_S

STEPS, EVERY = 22, 5
KEYS = [
    "curriculum.stages.low.steps=12",
    "curriculum.stages.low.batch_size=4",
    "curriculum.stages.low.micro_batch=1",
    "curriculum.stages.high.steps=10",
    "curriculum.stages.high.batch_size=4",
    "curriculum.stages.high.block_frames=2",
    "curriculum.stages.high.image_to_video=0.5",
    "curriculum.stages.high.images=0.3",
    "curriculum.stages.high.image_batch_size=8",
    "model.null_caption_tokens=3",
    "curriculum.stages.low.warmup=3",
    "model.num_layers=1",
    "model.num_attention_heads=2",
    "model.attention_head_dim=16",
    "model.num_cross_attention_heads=2",
    "model.cross_attention_head_dim=16",
    f"checkpoint_every={EVERY}",
    "keep_checkpoints=3",
    "eval.every=6",
    "zero_stage=2",
]


@pytest.fixture(scope="module")
def data(latent_dataset: Callable[..., Path]) -> Path:
    return latent_dataset("train", 40)


def words(data: Path, output: Path) -> list[str]:
    return [f"data={data}", f"output={output}", *KEYS]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """An undisturbed run."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert main(["train", *words(data, output)]) == 0
    return output


@pytest.fixture(scope="module")
def killed(data: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> tuple[Path, int]:
    """A run killed with SIGKILL in its first stage, then finished by the same command; and the step it went on from.

    While the second start goes on, one of its workers is killed too: Ray replaces it.
    """
    output = tmp_path_factory.mktemp("killed") / "run"
    command = [sys.executable, "-m", "framemill.jobs.cli", "train", *words(data, output)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with open(output.parent / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + JOB_S
        while step_of(output) < EVERY + 2:
            assert process.poll() is None and time.monotonic() < deadline, (output.parent / "log").read_text()
            time.sleep(0.01)
        # As if the power went: left alone, a worker goes on for the second in which Ray notices its driver's end.
        worker = lines_of(output, "start")[0]["pid"]
        os.kill(worker, signal.SIGKILL)
        process.send_signal(signal.SIGKILL)
        process.wait()
    while alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    newest = latest_checkpoint(str(output))
    assert newest is not None and newest.step < STEPS - EVERY
    robber = threading.Thread(target=kill_worker, args=(output, newest.step + 2), daemon=True)
    robber.start()
    assert main(["train", *words(data, output)]) == 0
    robber.join(START_S)
    return output, newest.step


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill_worker(output: Path, step: int) -> None:
    """Kills the rank 0 of a run's second start with SIGKILL, once it has come to `step`."""
    while len(starts := lines_of(output, "start")) < 2 or step_of(output) < step:
        time.sleep(0.01)
    os.kill(starts[1]["pid"], signal.SIGKILL)


def step_of(output: Path) -> int:
    return max((line["step"] for line in metrics(output)), default=0)


def metrics(output: Path) -> list[dict]:
    """The whole lines of a run's metrics, as they are in the file."""
    path = output / METRICS
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def lines_of(output: Path, kind: str) -> list[dict]:
    return [line for line in metrics(output) if line["kind"] == kind]


def config_of(data: Path, output: Path, *more: str) -> TrainConfig:
    return compose("train", TrainConfig, [*words(data, output), *more])


def test_a_killed_run_ends_with_the_same_losses_to_the_last_digit(whole: Path, killed: tuple[Path, int]) -> None:
    output, resumed = killed
    names = ("step", "stage", "stage_step", "task", "bucket", "loss", "grad_norm", "lr")
    for kind in ("train", "eval", "baseline"):
        undisturbed, other = lines_of(whole, kind), lines_of(output, kind)
        if kind == "train":
            undisturbed, other = ([{name: line[name] for name in names} for line in x] for x in (undisturbed, other))
        assert undisturbed == other
    starts = [line["step"] for line in lines_of(output, "start")]
    assert len(starts) == 3 and starts[:2] == [0, resumed] and resumed <= starts[2] < STEPS
    last = [latest_checkpoint(str(run)).folder / "model.safetensors" for run in (whole, output)]  # type: ignore[union-attr]
    assert last[0].read_bytes() == last[1].read_bytes()


def test_the_resumed_process_begins_with_the_checkpoints_step_plus_one(killed: tuple[Path, int]) -> None:
    output, resumed = killed
    lines = metrics(output)
    starts = [number for number, line in enumerate(lines) if line["kind"] == "start"]
    after = [line["step"] for line in lines[starts[1] :] if line["kind"] == "train"]
    assert resumed >= EVERY
    assert after == list(range(resumed + 1, STEPS + 1))
    assert lines[starts[2] + 1]["step"] == lines[starts[2]]["step"] + 1


def test_every_step_is_logged_once(killed: tuple[Path, int]) -> None:
    output, _ = killed
    assert [line["step"] for line in lines_of(output, "train")] == list(range(1, STEPS + 1))
    assert [line["step"] for line in lines_of(output, "eval")] == [0, 6, 12, 18, 22]
    config = config_of(Path("data"), output)
    client = mlflow_client(tracking_uri(config.tracking, str(output)))
    run = client.get_run((output / "mlflow_run.txt").read_text().strip())
    for name, kind in (("loss", "train"), ("grad_norm", "train"), ("tokens_per_s", "train"), ("loss", "eval")):
        recorded = client.get_metric_history(run.info.run_id, f"{kind}/{name}")
        assert Counter(point.step for point in recorded) == Counter(line["step"] for line in lines_of(output, kind))
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert {point.step: point.value for point in history} == {
        line["step"]: line["loss"] for line in lines_of(output, "train")
    }
    assert run.info.status == "FINISHED"
    assert run.inputs.dataset_inputs[0].dataset.digest == json.loads((output / "run.json").read_text())["data"]
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} >= {"loss.png", "config.yaml"}


def test_both_ranks_see_their_own_samples(whole: Path, data: Path) -> None:
    """The first velocity is 0, so the first loss is the target's power over both ranks' clips."""
    config = config_of(data, whole)
    dataset = LatentDataset.open(str(data))
    held_out = dataset.held_out(config.curriculum, config.seed, config.eval.fraction, config.eval.minimum)
    plan = dataset.plans(config.curriculum, held_out, config.seed)["low"]
    batch = plan.batch(0)
    shares = [{batch.rows[position] for position in batch.positions(rank, 2)} for rank in (0, 1)]
    assert not shares[0] & shares[1] and not (shares[0] | shares[1]) & set(held_out)
    powers = []
    for rank in (0, 1):
        loader = Loader(
            dataset,
            plan,
            config.curriculum.stages["low"],
            seed=config.seed,
            rank=rank,
            workers=2,
            caption_dropout=config.caption_dropout,
        )
        clips = loader.load(0)
        powers.append(float(rectified_flow.velocity(clips.x0, clips.noise).square().mean()))
    first = lines_of(whole, "train")[0]["loss"]
    assert first == pytest.approx(sum(powers) / 2, rel=1e-6)
    assert abs(powers[0] - powers[1]) > 1e-3


def test_a_stage_in_blocks_mixes_its_tasks(whole: Path) -> None:
    """Steps on images come where 0.3 of the stage's ten steps leave them, and each task is evaluated on its own."""
    lines = [line for line in lines_of(whole, "train") if line["stage"] == "high"]
    tasks = [(line["task"], line["samples"]) for line in lines]
    assert tasks == [("images", 8) if step in (4, 7, 10) else ("video", 4) for step in range(1, 11)]
    for line in lines:
        tokens = {"17x64x112": 4 * 7, "17x80x80": 5 * 5}[line["bucket"]] * {"video": 5, "images": 1}[line["task"]]
        assert line["tokens"] == line["samples"] * tokens
    first, *_, last = lines_of(whole, "eval")
    for name in ("loss", "loss_image_to_video", "loss_images"):
        assert last[name] < first[name]


def test_a_stage_of_one_block_is_refused(data: Path, tmp_path: Path) -> None:
    config = config_of(data, tmp_path / "run", "curriculum.stages.low.block_frames=2")
    with pytest.raises(
        RequestError, match=r"low\.block_frames=2: must be at most 1, half of the stage's 3 latent frames"
    ):
        train(config)


def test_each_rank_holds_its_half_of_the_optimiser(whole: Path) -> None:
    """ZeRO's promise: ceil(parameters / workers), up to its alignment of a few numbers."""
    newest = latest_checkpoint(str(whole))
    assert newest is not None
    model = LinearDiT.from_diffusers(whole / "export" / "transformer")
    total = sum(parameter.numel() for parameter in model.parameters())
    sizes = []
    with torch.serialization.safe_globals(checkpoint_classes()):
        for path in sorted((newest.folder / "engine").glob("zero_pp_rank_*_optim_states.pt")):
            state = torch.load(path, weights_only=True)["optimizer_state_dict"]["base_optimizer_state"]
            sizes.append(sum(moments["exp_avg"].numel() for moments in state["state"].values()))
    share = -(-total // 2)
    assert len(sizes) == 2 and sum(sizes) >= total
    assert all(abs(size - share) <= 64 for size in sizes), (sizes, total)


def test_what_a_run_leaves(whole: Path) -> None:
    kept = list_checkpoints(str(whole))
    assert [checkpoint.name for checkpoint in kept] == ["high-000015", "high-000020", "high-000022"]
    assert (whole / "latest").read_text().strip() == "high-000022"
    assert audit(str(whole)).problems == []
    info = json.loads((whole / "export" / "framemill.json").read_text())
    assert (info["codec"], info["text"], info["step"], info["bucket"]) == ("dct", "hashed", STEPS, "17x64x112")
    assert info["block_frames"] == 2
    assert (whole / "export" / "scheduler" / "scheduler_config.json").exists()
    assert (whole / "loss.png").stat().st_size > 5000


def test_a_finished_run_is_not_run_again(whole: Path, data: Path) -> None:
    before = (whole / "metrics.jsonl").read_bytes()
    summary = train(config_of(data, whole))
    assert (whole / "metrics.jsonl").read_bytes() == before
    assert summary.steps == STEPS and summary.last_loss < summary.first_loss
    assert "held-out loss" in summary.line()


def test_another_dataset_config_or_number_of_workers_is_refused(
    whole: Path, data: Path, latent_dataset: Callable[..., Path]
) -> None:
    other = latent_dataset("other", 30)
    for message, config in {
        "this run has data": config_of(other, whole),
        "this run has workers 2": config_of(data, whole, "workers=1"),
        "seed": config_of(data, whole, "seed=1"),
    }.items():
        with pytest.raises(RequestError, match=message):
            train(config)


def test_what_does_not_fit_is_refused_before_the_output_is_claimed(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"curriculum\.stages\.low\.batch_size=4: .* multiple of the 3 workers"):
        train(config_of(data, tmp_path / "run", "workers=3"))
    assert not (tmp_path / "run").exists()
    for name, value in (("caption_channels", 2304), ("in_channels", 32)):
        with pytest.raises(RequestError, match=f"model.{name}={value}"):
            train(config_of(data, tmp_path / "run", f"model.{name}={value}"))


def test_a_damaged_checkpoint_is_not_gone_on_from(killed: tuple[Path, int], data: Path) -> None:
    output, _ = killed
    newest = latest_checkpoint(str(output))
    assert newest is not None
    weights = newest.folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    try:
        with pytest.raises(FramemillError, match=f"{newest.name}: model.safetensors is not as it was written"):
            train(config_of(data, output))
    finally:
        weights.write_bytes(whole)


def test_begins_with_the_weights_of_another_run(whole: Path, data: Path, tmp_path: Path) -> None:
    """Before its first step it is as good as the other was after its last."""
    steps = ["curriculum.stages.low.steps=1", "curriculum.stages.high.steps=1"]
    assert main(["train", *words(data, tmp_path / "run"), *steps, f"init={whole}"]) == 0
    before, after = lines_of(whole, "eval")[-1], lines_of(tmp_path / "run", "eval")[0]
    assert after["step"] == 0 and after["loss"] == pytest.approx(before["loss"], rel=1e-5)
    earlier = whole / "checkpoints" / "high-000015"
    with pytest.raises(RequestError, match="this run has init"):
        train(config_of(data, tmp_path / "run", *steps, f"init={earlier}"))
    with pytest.raises(RequestError, match=r"has no tensor transformer_blocks\.1\."):
        train(config_of(data, tmp_path / "deeper", f"init={whole}", "model.num_layers=2"))
    assert not (tmp_path / "deeper").exists()
