"""Keys of `framemill train`. Imports no torch."""

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
    out_channels: int = key(16, "channels of the predicted velocity; the same as in_channels")
    num_attention_heads: int = key(20, "heads of the linear self-attention")
    attention_head_dim: int = key(112, "width of a self-attention head; heads times this is the model's width")
    num_layers: int = key(20, "transformer blocks")
    num_cross_attention_heads: int = key(20, "heads of the cross-attention to the text")
    cross_attention_head_dim: int = key(112, "width of a cross-attention head")
    caption_channels: int = key(2304, "width of the text embeddings")
    mlp_ratio: float = key(3.0, "hidden width of the feed-forward, as a multiple of the model's width")
    patch_size: List[int] = key(lambda: [1, 2, 2], "latent frames, rows and columns per token")
    sample_size: int = key(30, "resolution recorded for diffusers' pipeline: 30 is 480p, 22 is 720p")
    linear_attention_eps: float = key(
        1e-15,
        "epsilon added to the linear attention's denominator: 1e-15 in diffusers, 1e-8 in the code that trained SANA",
    )
    null_caption_tokens: int = key(
        0,
        "tokens of a learned null caption for classifier-free guidance; 0: the text encoder's output for the empty "
        "text, as in diffusers",
    )

    def shape(self) -> LinearDiTConfig:
        """Returns the model's own config.

        Raises:
            RequestError: a value that the model does not implement.
        """
        from framemill.training.model import LinearDiTConfig

        return LinearDiTConfig(**asdict(self))


@dataclass
class OptimizerConfig:
    """AdamW with SANA-Video's values; each stage has its own learning rate."""

    betas: List[float] = key(lambda: [0.9, 0.999], "AdamW: decay rates of the first and second moment, in [0, 1)")
    eps: float = key(1e-10, "AdamW: epsilon added to the square root of the second moment")
    weight_decay: float = key(0.0, "AdamW: decoupled weight decay")
    grad_clip: float = key(0.1, "gradient clipping: maximum global L2 norm")

    def validate(self) -> None:
        """Checks the ranges of the values.

        Raises:
            RequestError: a value is out of range.
        """
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise RequestError(f"optimizer.betas={self.betas}: must be two numbers in [0, 1)")
        if self.grad_clip <= 0:
            raise RequestError(f"optimizer.grad_clip={self.grad_clip}: must be more than 0")


@dataclass
class EvalConfig:
    """The held-out loss: on clips that training never uses, at the last stage's size, with fixed noise."""

    every: int = key(500, "steps between evaluations; also done before the first step and at the end of each stage")
    fraction: float = key(0.02, "share of clips held out from training, chosen by a hash of the key, in [0, 1)")
    minimum: int = key(4, "least number of clips held out")
    maximum: int = key(64, "largest number of held-out clips that are evaluated")
    quantiles: List[float] = key(
        lambda: [0.1, 0.3, 0.5, 0.7, 0.9], "quantiles of the training timesteps at which the loss is evaluated"
    )

    def validate(self) -> None:
        """Checks the ranges of the values.

        Raises:
            RequestError: a value is out of range.
        """
        if self.every < 1:
            raise RequestError(f"eval.every={self.every}: must be at least 1")
        if not 0 <= self.fraction < 1:
            raise RequestError(f"eval.fraction={self.fraction}: must be in [0, 1)")
        if not 2 <= self.minimum <= self.maximum:
            raise RequestError(
                f"eval.minimum={self.minimum}: must be at least 2, since captions are exchanged among clips, and at "
                f"most eval.maximum={self.maximum}"
            )
        if not self.quantiles or not all(0 < quantile < 1 for quantile in self.quantiles):
            raise RequestError(f"eval.quantiles={self.quantiles}: must be numbers between 0 and 1")


@dataclass
class TrainConfig:
    """Config of `framemill train`."""

    data: str = key(help="dataset of latents, made by encode", result=False)
    output: str = key(
        help="run directory for metrics, checkpoints and export; a path that every worker can reach", result=False
    )
    curriculum: CurriculumConfig = key(CurriculumConfig, "training stages of resolution and length")
    model: ModelConfig = key(ModelConfig, "shape of the Linear DiT")
    init: str = key(
        "",
        "initial weights: a run directory, checkpoint, diffusers folder or original .pth, of SANA-Video or of a SANA "
        "image model; empty: random weights",
        result=bool,
    )
    optimizer: OptimizerConfig = key(OptimizerConfig, "AdamW")
    eval: EvalConfig = key(EvalConfig, "loss on held-out clips")
    seed: int = key(0, "seed of weights, batch order, noise, timesteps and caption dropout")
    precision: str = key(
        "bf16",
        "precision of weights and activations; AdamW keeps fp32 master weights",
        choices=("fp32", "bf16"),
    )
    zero_stage: int = key(
        1,
        "ZeRO stage: what DeepSpeed shards over workers (0 nothing, 1 optimiser state, 2 also gradients, 3 also "
        "weights)",
        choices=("0", "1", "2", "3"),
    )
    activation_checkpointing: str = key(
        "selective",
        "activations recomputed in the backward pass to save memory (none: pointwise operations only, selective: also "
        "feed-forwards, full: whole blocks)",
        choices=("none", "selective", "full"),
    )
    compile: bool = key(False, "compile the model's blocks; takes minutes at start, and a C++ compiler on a CPU")
    caption_dropout: float = key(
        0.1, "share of captions replaced by the empty caption, for classifier-free guidance, in [0, 1)"
    )
    checkpoint_every: int = key(
        500, "steps between checkpoints; one is also written at the end of each stage", result=False
    )
    keep_checkpoints: int = key(2, "number of newest checkpoints to keep", result=False)
    workers: int = key(2, "training processes, each with a replica of the model; 0: one per GPU or core", result=False)
    cpus_per_worker: float = key(
        0.5, "CPUs that each worker reserves in Ray; below 1 leaves room for other tasks", result=False
    )
    max_failures: int = key(2, "number of times that lost workers are replaced before the job fails", result=False)
    tracking: TrackingConfig = key(TrackingConfig, "MLflow tracking", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray cluster", result=False)

    def validate(self) -> None:
        """Checks the ranges of the values and the model's shape.

        Raises:
            RequestError: a value is out of range.
        """
        if not 0 <= self.caption_dropout < 1:
            raise RequestError(f"caption_dropout={self.caption_dropout}: must be in [0, 1)")
        minimums = {"checkpoint_every": 1, "keep_checkpoints": 1, "workers": 0, "max_failures": 0}
        for name, minimum in minimums.items():
            if getattr(self, name) < minimum:
                raise RequestError(f"{name}={getattr(self, name)}: must be at least {minimum}")
        self.model.shape()
