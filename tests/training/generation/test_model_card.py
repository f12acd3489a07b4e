"""Wan-VAE and Gemma-2 from end to end: encoding on Ray, an export in diffusers' pipelines, and our own sampler."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    SanaImageToVideoPipeline,
    SanaVideoPipeline,
)
from transformers import AutoTokenizer, Gemma2Model

from framemill.platform import storage
from framemill.platform.compose import compose
from framemill.platform.dataset import Dataset
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.errors import RequestError
from framemill.platform.shard_writer import Sample, write_shard
from framemill.platform.vision.video import encode_mp4
from framemill.training.codecs import get_codec
from framemill.training.curriculum import CurriculumConfig, StageConfig, stage_buckets
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.encoding.config import EncodeConfig
from framemill.training.encoding.encode import encode
from framemill.training.generation.config import GenerateConfig
from framemill.training.generation.generate import generate
from framemill.training.generation.model_card import check_networks, read_card
from framemill.training.generation.sampling import SamplingRequest, sample
from framemill.training.generation.scheduler import load_scheduler
from framemill.training.generation.worker import export_scheduler
from framemill.training.model import LinearDiT
from framemill.training.run.checkpoints import begin_checkpoint, commit_checkpoint, hash_files, unfinished_folder
from framemill.training.run.config import TrainConfig
from framemill.training.run.export import export_model
from framemill.training.text import get_text_encoder
from framemill.training.text.base import pad
from framemill.training.text.gemma import INSTRUCTION
from framemill.training.weights.convert import save_checkpoint

SHIFT = 5.0
PROMPT = "A Red ball, that rolls: slowly"


def video(seed: int) -> np.ndarray:
    """Blocks that drift, (T, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(40, 216, (10, 20, 3)), np.ones((8, 8, 1)))
    return np.stack([image[t : t + 32, t : t + 64] for t in range(12)]).astype(np.uint8)


def config_of(dataset: str, output: Path, networks: dict[str, str], **changes: object) -> EncodeConfig:
    stage = StageConfig(resolution=32, frames=9, steps=1, batch_size=1)
    values = {"codec": "wan", "codec_path": networks["wan"], "text": "gemma", "text_path": networks["gemma"]}
    return EncodeConfig(dataset, str(output), CurriculumConfig({"only": stage}), workers=1, **{**values, **changes})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("dataset"))
    samples = [Sample(f"clip{n}", {"mp4": encode_mp4(video(n), 16.0), "json": b"{}"}) for n in range(3)]
    rows = [
        {"key": sample.key, "width": 64, "height": 32, "duration": 0.75, "caption": PROMPT, "motion": 3.7}
        for sample in samples
    ]
    commit_dataset(
        folder,
        kind="curate",
        config_digest="0" * 16,
        shards=[write_shard(storage.join(folder, "shards"), "train", n, samples[n::2], "0" * 8) for n in range(2)],
        samples=pa.Table.from_pylist(rows),
        ledger={"sources": pa.table({"path": ["a"]}), "clips": pa.table({"key": ["clip0"]})},
        totals={"kept": 3},
    )
    return folder


@pytest.fixture(scope="module")
def encoded(dataset: str, tiny_networks: dict[str, str], ray_session: None, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("encoded") / "latents"
    encode(config_of(dataset, output, tiny_networks))
    return output


@pytest.fixture(scope="module")
def export(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a checkpoint of a small model, all of its weights random."""
    output = tmp_path_factory.mktemp("run")
    words = [f"data={encoded}", f"output={output}", "model.caption_channels=8", "model.num_layers=2"]
    words += [f"model.{name}=2" for name in ("num_attention_heads", "num_cross_attention_heads")]
    words += [f"model.{name}=12" for name in ("attention_head_dim", "cross_attention_head_dim")]
    config = compose("train", TrainConfig, [*words, f"curriculum.sampling_flow_shift={SHIFT}"])
    config.curriculum = CurriculumConfig(
        {"only": StageConfig(resolution=32, frames=9, steps=1, batch_size=1)}, sampling_flow_shift=SHIFT
    )
    torch.manual_seed(1)
    model = LinearDiT(config.model.shape())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.15)
    begin_checkpoint(str(output), "only-000001")
    folder = unfinished_folder(str(output), "only-000001")
    save_checkpoint(folder, model.config, model.state_dict())
    checkpoint = commit_checkpoint(str(output), "only-000001", hash_files(folder), keep=1)
    latents = LatentDataset.open(str(encoded))
    (plan,) = latents.plans(config.curriculum, [], 0).values()
    return export_model(config, checkpoint, latents, plan)


@pytest.fixture(scope="module")
def pipeline(export: Path, tiny_networks: dict[str, str]) -> SanaVideoPipeline:
    pipeline = SanaVideoPipeline.from_pretrained(
        export,
        vae=AutoencoderKLWan.from_pretrained(tiny_networks["wan"], subfolder="vae"),
        text_encoder=Gemma2Model.from_pretrained(tiny_networks["gemma"], subfolder="text_encoder"),
        tokenizer=AutoTokenizer.from_pretrained(tiny_networks["gemma"], subfolder="tokenizer"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def asked(pipeline: SanaVideoPipeline, **changes: object) -> dict:
    """How both pipelines are called."""
    size = {"height": 32, "width": 64, "frames": 9, "use_resolution_binning": False}
    steps = {"num_inference_steps": 4, "guidance_scale": 4.0, "generator": torch.Generator().manual_seed(7)}
    return {"prompt": PROMPT, **size, **steps, **changes}


def test_text_is_what_the_pipeline_reads(pipeline: SanaVideoPipeline, tiny_networks: dict[str, str]) -> None:
    import inspect

    default = inspect.signature(SanaVideoPipeline.__call__).parameters["complex_human_instruction"].default
    assert "\n".join(default) == INSTRUCTION
    encoder = get_text_encoder("gemma", tiny_networks["gemma"])
    for prompt in (PROMPT, "", "so long " * 100):
        with torch.no_grad():
            text, mask, null, null_mask = pipeline.encode_prompt(
                prompt, negative_prompt=prompt, device="cpu", complex_human_instruction=default
            )
        for embedding, wanted, there in (
            (encoder.encode_one(prompt), text[0], mask[0]),
            (encoder.encode_null(prompt), null[0], null_mask[0]),
        ):
            wanted = wanted[there.bool()].numpy()
            assert embedding.shape == wanted.shape
            assert np.abs(embedding - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_encoding_keeps_what_the_networks_give(encoded: Path, tiny_networks: dict[str, str]) -> None:
    dataset = Dataset.open(str(encoded))
    index = dataset.index
    assert (index["codec"], index["latent_channels"], index["latent_stride"]) == ("wan", 16, [4, 8, 8])
    assert (index["text"], index["text_width"]) == ("gemma", 8)
    assert len(index["codec_weights"]) == len(index["text_weights"]) == 16
    encoder = get_text_encoder("gemma", tiny_networks["gemma"])
    assert np.abs(np.asarray(index["null_text"]) - encoder.encode_null()).max() < 1e-5
    text = np.load(io.BytesIO(dataset.read(0, "text.npy")))
    assert np.abs(text - encoder.encode_one(f"{PROMPT} motion score: 3.")).max() < 1e-2
    (bucket,) = dataset.samples["buckets"].to_pylist()[0]
    latent = np.load(io.BytesIO(dataset.read(0, f"{bucket}.latent.npy"))).astype(np.float32)
    shown = get_codec("wan", tiny_networks["wan"]).decode(latent)
    assert latent.shape[:2] == (16, 3) and shown.shape[0] == 9


def test_two_workers_write_the_same(encoded: Path, dataset: str, tiny_networks: dict[str, str], tmp_path: Path) -> None:
    config = config_of(dataset, tmp_path / "two", tiny_networks)
    config.workers = 2
    encode(config)
    for name in ("index.json", *(f"shards/{path.name}" for path in (encoded / "shards").iterdir())):
        assert (tmp_path / "two" / name).read_bytes() == (encoded / name).read_bytes(), name


def test_both_schedulers_have_the_shift(export: Path) -> None:
    dpm = DPMSolverMultistepScheduler.from_pretrained(export, subfolder="scheduler")
    euler = FlowMatchEulerDiscreteScheduler.from_pretrained(export, subfolder="scheduler_i2v")
    assert (dpm.config.flow_shift, euler.config.shift) == (SHIFT, SHIFT)
    euler.set_timesteps(sigmas=[1 - step / 8 for step in range(8)])
    dpm.set_timesteps(8)
    even = torch.arange(1, 9).flip(0) / 8
    shifted = SHIFT * even / (1 + (SHIFT - 1) * even)
    assert (euler.sigmas[:-1] - shifted).abs().max() < 1e-6
    assert (dpm.sigmas[:-1] - shifted).abs().max() < 2e-3  # begins at 0.999


def our_video(
    export: Path, networks: dict[str, str], scheduler: object, first: torch.Tensor | None = None
) -> np.ndarray:
    """Without anything of the pipelines, the video that they are asked for."""
    codec, encoder = get_codec("wan", networks["wan"]), get_text_encoder("gemma", networks["gemma"])
    texts = (*encoder.encode([PROMPT]), *pad([encoder.encode_null()]))
    request = SamplingRequest(
        *(torch.from_numpy(part) for part in texts),
        shape=(1, *codec.latent_shape(9, 32, 64)),
        steps=4,
        cfg=4.0,
        scheduler=scheduler,
        generator=torch.Generator().manual_seed(7),
        first=first,
    )
    return codec.decode(sample(LinearDiT.from_diffusers(export / "transformer"), request)[0].numpy())


def test_our_sampler_makes_the_pipelines_video(
    pipeline: SanaVideoPipeline, export: Path, tiny_networks: dict[str, str]
) -> None:
    expected = pipeline(**asked(pipeline), output_type="np").frames[0]
    ours = our_video(export, tiny_networks, load_scheduler(export / "scheduler"))
    assert expected.std() > 0.02, "a grey video would be anyone's"
    assert np.abs(ours - expected * 255).max() < 0.6


@pytest.mark.parametrize("folder", ["scheduler", "scheduler_i2v"])
def test_the_export_makes_videos_of_images(
    pipeline: SanaVideoPipeline, export: Path, tiny_networks: dict[str, str], folder: str
) -> None:
    """With the scheduler that it finds by itself, which `generate` takes too, and with the one made for it."""
    from PIL import Image

    parts = {name: getattr(pipeline, name) for name in ("vae", "text_encoder", "tokenizer")}
    if folder == "scheduler_i2v":
        parts["scheduler"] = FlowMatchEulerDiscreteScheduler.from_pretrained(export, subfolder=folder)
    made = SanaImageToVideoPipeline.from_pretrained(export, **parts)
    made.set_progress_bar_config(disable=True)
    image = video(5)[:1]
    expected = made(Image.fromarray(image[0]), **asked(pipeline), output_type="np").frames[0]
    first = torch.from_numpy(get_codec("wan", tiny_networks["wan"]).encode(image))[None]
    ours = our_video(export, tiny_networks, load_scheduler(export / folder), first)
    assert expected.shape == (9, 32, 64, 3) and expected[1:].std() > 0.02
    assert np.abs(ours - expected * 255).max() < 0.6


def test_other_weights_are_refused(
    encoded: Path, export: Path, dataset: str, tiny_networks: dict[str, str], tmp_path: Path
) -> None:
    check_networks(read_card(str(export)), tiny_networks["wan"], tiny_networks["gemma"])
    torch.manual_seed(9)
    other = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(tiny_networks["wan"], subfolder="vae"))
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(RequestError, match=r"codec_path=.*weights that the model was trained with"):
        check_networks(read_card(str(export)), str(tmp_path / "other"), tiny_networks["gemma"])
    with pytest.raises(RequestError, match=r"codec_path=.*holds the result of another network"):
        encode(config_of(dataset, encoded, tiny_networks, codec_path=str(tmp_path / "other")))
    with pytest.raises(RequestError, match="text_path: must be the folder of"):
        encode(config_of(dataset, tmp_path / "none", tiny_networks, text_path=""))
    with pytest.raises(RequestError, match=r"curriculum\.stages\.only: 9x\d+x\d+: ltx2 needs 1 \+ 8k frames"):
        config = config_of(dataset, tmp_path / "none", tiny_networks, codec="ltx2", codec_path=tiny_networks["ltx2"])
        encode(config)
    config.curriculum.stages["only"].side = 32
    codec = get_codec("ltx2", tiny_networks["ltx2"])
    for bucket in stage_buckets(config.curriculum.stages["only"]):
        assert codec.latent_shape(bucket.frames, bucket.height, bucket.width)[0] == codec.channels
    assert not (tmp_path / "none").exists()


def test_a_published_pipeline_generates_as_our_export_does(
    export: Path, tiny_networks: dict[str, str], ray_session: None, tmp_path: Path
) -> None:
    """A pipeline's folder has no card of ours, and codec and text encoder in it."""
    published = tmp_path / "published"
    for folder in ("transformer", "scheduler"):
        shutil.copytree(export / folder, published / folder)
    (tmp_path / "prompts.txt").write_text(PROMPT)

    def bytes_of(model: Path, name: str, **keys: object) -> bytes:
        size = {"frames": 9, "height": 32, "width": 64, "steps": 2, "workers": 1}
        generate(GenerateConfig(str(model), str(tmp_path / "prompts.txt"), str(tmp_path / name), **size, **keys))
        (made,) = (tmp_path / name).glob("*.mp4")
        return made.read_bytes()

    paths = {"codec_path": tiny_networks["wan"], "text_path": tiny_networks["gemma"]}
    expected = bytes_of(export, "ours", **paths)
    with pytest.raises(RequestError, match="codec_path: must be the folder of"):
        bytes_of(published, "none")
    assert bytes_of(published, "beside", **paths) == expected
    for folder, network in (("vae", "wan"), ("text_encoder", "gemma"), ("tokenizer", "gemma")):
        shutil.copytree(Path(tiny_networks[network]) / folder, published / folder)
    assert bytes_of(published, "theirs") == expected
    card = read_card(str(published), str(published))
    assert (card.codec, card.text, card.fps, card.bucket) == ("wan", "gemma", 16.0, "81x480x832")
    shutil.rmtree(published / "scheduler")
    assert bytes_of(published, "unshifted") != expected  # SANA-Video's own shift, 8, and not the export's
    shutil.copyfile(export / "framemill.json", published / "framemill.json")
    with pytest.raises(RequestError, match="scheduler"):  # an export that has lost its own
        export_scheduler(str(published))
    (published / "framemill.json").unlink()
    with pytest.raises(RequestError, match="_class_name=None: must be one of AutoencoderKLWan"):
        bytes_of(published, "wrong", codec_path=tiny_networks["gemma"] + "/text_encoder")


def test_the_folder_names_its_parts(export: Path) -> None:
    index = json.loads((export / "model_index.json").read_text())
    assert (index["_class_name"], index["vae"]) == ("SanaVideoPipeline", ["diffusers", "AutoencoderKLWan"])
