"""What `framemill train` takes. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, List

from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.errors import RequestError
from framemill.training.curriculum import CurriculumConfig

if TYPE_CHECKING:
    from framemill.training.model import LinearDiTConfig


@dataclass
class ModelConfig:
    """The Linear DiT to train, under the names of a diffusers config.json; the defaults are SANA-Video 2B's."""

    in_channels: int = key(16, "channels of the codec's latents")
    out_channels: int = key(16, "the same, for the velocity")
    num_attention_heads: int = key(20, "heads of the linear self-attention")
    attention_head_dim: int = key(112, "width of a head; heads times it are the model's width")
    num_layers: int = key(20, "blocks")
    num_cross_attention_heads: int = key(20, "heads of the attention to the text")
    cross_attention_head_dim: int = key(112, "width of such a head")
    caption_channels: int = key(2304, "width of the text embeddings")
    mlp_ratio: float = key(3.0, "hidden width of the feed-forward, in model widths")
    patch_size: List[int] = key(lambda: [1, 2, 2], "latent frames, rows and columns of a token")
    sample_size: int = key(30, "marks the resolution for diffusers' pipeline: 30 is 480p, 22 is 720p")
    linear_attention_eps: float = key(
        1e-15, "added to the linear attention's denominator: 1e-15 in diffusers, 1e-8 where SANA was trained"
    )
    null_caption_tokens: int = key(
        0, "tokens of a learned caption for what guidance drops; 0: the text encoder's, of no text, as diffusers has it"
    )

    def shape(self) -> LinearDiTConfig:
        """The model's own config.

        Raises:
            RequestError: a value that the model does not implement.
        """
        from framemill.training.model import LinearDiTConfig

        return LinearDiTConfig(**asdict(self))


@dataclass
class OptimizerConfig:
    """AdamW as SANA-Video has it; the learning rate is each stage's own."""

    betas: List[float] = key(lambda: [0.9, 0.999], "decay of the two moments")
    eps: float = key(1e-10, "added to the root of the second moment")
    weight_decay: float = key(0.0, "decoupled weight decay")
    grad_clip: float = key(0.1, "longest gradient, in the 2-norm over all parameters")

    def validate(self) -> None:
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise RequestError(f"optimizer.betas={self.betas}: two numbers of [0, 1)")
        if self.grad_clip <= 0:
            raise RequestError(f"optimizer.grad_clip={self.grad_clip}: is more than 0")


@dataclass
class EvalConfig:
    """The loss on clips that training never sees, always at the last stage's size, with the same noise every time."""

    every: int = key(500, "steps between evaluations; also before the first step and at the end of each stage")
    fraction: float = key(0.02, "share of the clips held out, chosen by a hash of their keys")
    minimum: int = key(4, "clips held out at least")
    maximum: int = key(64, "held-out clips evaluated at most")
    quantiles: List[float] = key(
        lambda: [0.1, 0.3, 0.5, 0.7, 0.9], "where in the distribution of training timesteps the loss is taken"
    )

    def validate(self) -> None:
        if self.every < 1:
            raise RequestError(f"eval.every={self.every}: is at least 1")
        if not 0 <= self.fraction < 1:
            raise RequestError(f"eval.fraction={self.fraction}: is in [0, 1)")
        if not 2 <= self.minimum <= self.maximum:
            raise RequestError(f"eval.minimum={self.minimum}: is at least 2 (captions are exchanged), at most maximum")
        if not self.quantiles or not all(0 < quantile < 1 for quantile in self.quantiles):
            raise RequestError(f"eval.quantiles={self.quantiles}: numbers between 0 and 1")


@dataclass
class TrainConfig:
    data: str = key(help="dataset of latents, made by encode", result=False)
    output: str = key(help="run directory: metrics, checkpoints, export; a path that every worker sees", result=False)
    curriculum: CurriculumConfig = key(CurriculumConfig, "stages of resolution and length")
    model: ModelConfig = key(ModelConfig, "the Linear DiT")
    init: str = key(
        "",
        "weights to begin with: a run, checkpoint, diffusers folder or original .pth, of SANA-Video or of SANA's image "
        "models; empty: new ones",
        result=bool,
    )
    optimizer: OptimizerConfig = key(OptimizerConfig, "AdamW")
    eval: EvalConfig = key(EvalConfig, "the loss on held-out clips")
    seed: int = key(0, "of weights, order, noise, timesteps and dropped captions")
    precision: str = key("bf16", "of weights and activations; AdamW keeps an fp32 copy", choices=("fp32", "bf16"))
    zero_stage: int = key(
        1, "what DeepSpeed splits over workers: 1 moments, 2 gradients too, 3 weights too", choices=("0", "1", "2", "3")
    )
    activation_checkpointing: str = key(
        "selective",
        "what the backward pass computes again, to save memory: what is cheap, feed-forwards too, or whole blocks",
        choices=("none", "selective", "full"),
    )
    compile: bool = key(False, "compile the model's blocks: minutes at first, and a C++ compiler on a CPU")
    caption_dropout: float = key(0.1, "share of captions replaced by the empty one, for classifier-free guidance")
    checkpoint_every: int = key(500, "steps between checkpoints; also at the end of each stage", result=False)
    keep_checkpoints: int = key(2, "checkpoints kept, the newest", result=False)
    workers: int = key(2, "processes, each with a replica; 0: one for each core or GPU", result=False)
    cpus_per_worker: float = key(0.5, "CPUs a worker reserves in Ray: below 1 so that other work goes on", result=False)
    max_failures: int = key(2, "how often lost workers are replaced before the job fails", result=False)
    tracking: TrackingConfig = key(TrackingConfig, "MLflow", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray", result=False)

    def validate(self) -> None:
        if not 0 <= self.caption_dropout < 1:
            raise RequestError(f"caption_dropout={self.caption_dropout}: is in [0, 1)")
        for name, least in (("checkpoint_every", 1), ("keep_checkpoints", 1), ("workers", 0), ("max_failures", 0)):
            if getattr(self, name) < least:
                raise RequestError(f"{name}={getattr(self, name)}: is at least {least}")
        self.model.shape()
