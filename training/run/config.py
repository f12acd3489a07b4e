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
    """Architecture of the Linear DiT, with the names of a diffusers config.json and the values of SANA-Video 2B."""

    in_channels: int = key(16, "channels of the codec's latents")
    out_channels: int = key(16, "channels of the predicted velocity, equal to in_channels")
    num_attention_heads: int = key(20, "number of linear self-attention heads")
    attention_head_dim: int = key(
        112, "channels per self-attention head; the model's width is num_attention_heads times this value"
    )
    num_layers: int = key(20, "number of transformer blocks")
    num_cross_attention_heads: int = key(20, "number of cross-attention heads")
    cross_attention_head_dim: int = key(112, "channels per cross-attention head")
    caption_channels: int = key(2304, "channels of the text embeddings")
    mlp_ratio: float = key(3.0, "hidden channels of the feed-forward, as a multiple of the model's width")
    patch_size: List[int] = key(
        lambda: [1, 2, 2], "patch size: latent frames, latent rows and latent columns per token"
    )
    sample_size: int = key(30, "resolution recorded for diffusers' pipeline: 30 is 480p, 22 is 720p")
    linear_attention_eps: float = key(
        1e-15,
        "epsilon added to the linear attention's denominator: 1e-15 in diffusers, 1e-8 in the code that trained SANA",
    )
    null_caption_tokens: int = key(
        0,
        "number of tokens of a learned null caption for classifier-free guidance (CFG); 0: the null caption is the "
        "text encoder's embedding of the empty text, as in diffusers",
    )

    def shape(self) -> LinearDiTConfig:
        """Returns these values as a `LinearDiTConfig`.

        Raises:
            RequestError: a value that the model does not implement.
        """
        from framemill.training.model import LinearDiTConfig

        return LinearDiTConfig(**asdict(self))


@dataclass
class OptimizerConfig:
    """AdamW with SANA-Video's values; the learning rate is a key of each stage."""

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
    """Held-out loss: evaluated on clips that training never uses, in the last stage's buckets, with fixed noise."""

    every: int = key(
        500, "steps between evaluations of the held-out loss, which also run before training and after each stage"
    )
    fraction: float = key(
        0.02, "share of clips held out from training, in [0, 1); clips are chosen by a hash of their keys"
    )
    minimum: int = key(4, "minimum number of held-out clips, but at most half of the clips")
    maximum: int = key(64, "maximum number of held-out clips that are evaluated")
    quantiles: List[float] = key(
        lambda: [0.1, 0.3, 0.5, 0.7, 0.9],
        "quantiles of the training timestep distribution at which the loss is evaluated",
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

    data: str = key(help="path or URI of the dataset of latents that `framemill encode` wrote", result=False)
    output: str = key(
        help="run directory for metrics, checkpoints and export; a path that every worker can reach", result=False
    )
    curriculum: CurriculumConfig = key(CurriculumConfig, "training stages, each with a resolution and a clip length")
    model: ModelConfig = key(ModelConfig, "architecture of the Linear DiT")
    init: str = key(
        "",
        "initial weights: a run directory, checkpoint, diffusers folder or original .pth file, of SANA-Video or of a "
        "SANA image model; empty: random initialisation",
        result=bool,
    )
    optimizer: OptimizerConfig = key(OptimizerConfig, "AdamW optimiser")
    eval: EvalConfig = key(EvalConfig, "loss on held-out clips")
    seed: int = key(0, "random seed of initial weights, batch order, noise, timesteps and caption dropout")
    precision: str = key(
        "bf16",
        "precision of weights and activations; AdamW keeps fp32 master weights",
        choices=("fp32", "bf16"),
    )
    zero_stage: int = key(
        1,
        "ZeRO stage of DeepSpeed; 0: nothing is sharded over the workers, 1: optimiser states, 2: also gradients, 3: "
        "also weights",
        choices=("0", "1", "2", "3"),
    )
    activation_checkpointing: str = key(
        "selective",
        "activation checkpointing: what the backward pass recomputes to save memory; none: pointwise operations only, "
        "selective: also the feed-forwards, full: whole transformer blocks",
        choices=("none", "selective", "full"),
    )
    compile: bool = key(
        False,
        "compile the transformer blocks with torch.compile; takes minutes at start, needs a C++ compiler on a CPU",
    )
    caption_dropout: float = key(
        0.1,
        "caption dropout for classifier-free guidance (CFG): share of captions replaced by the null caption, in [0, 1)",
    )
    checkpoint_every: int = key(
        500, "steps between checkpoints; a checkpoint is also written at the end of each stage", result=False
    )
    keep_checkpoints: int = key(2, "number of newest checkpoints to keep", result=False)
    workers: int = key(
        2,
        "number of data-parallel training processes; 0: one per GPU, or per CPU core if there is no GPU",
        result=False,
    )
    cpus_per_worker: float = key(
        0.5, "CPUs that each worker reserves in Ray; a value below 1 leaves CPUs for other Ray tasks", result=False
    )
    max_failures: int = key(2, "number of restarts after worker failures before the job fails", result=False)
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
