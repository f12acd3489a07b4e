"""Registry of all dimensions of VBench and VBench-I2V, with the networks that they need.

Dimensions without an implementation are registered too, so that an evaluation lists them as not measured, with the
reason. Weights are named by the file that upstream loads: VBench downloads these files while it runs, Framemill never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framemill.platform.registry import Entry, Registry

if TYPE_CHECKING:
    from framemill.eval.dimensions.base import Dimension


@dataclass(frozen=True)
class Network:
    """A pretrained network that a dimension needs."""

    name: str
    weights: str
    """Name of the weight file that upstream loads."""


@dataclass(frozen=True)
class DimensionEntry(Entry):
    """Registry entry of a dimension, available without importing its class."""

    target: str = ""
    """"module:name" of the class; empty while the dimension has no implementation."""
    network: Network | None = None
    """Network that the dimension needs; None if it is computed from pixels alone."""
    image_to_video: bool = False
    """Whether the dimension belongs to VBench-I2V only."""

    @property
    def measurable(self) -> bool:
        """Whether the dimension has an implementation."""
        return bool(self.target)

    @property
    def obstacle(self) -> str:
        """Reason why the dimension cannot be measured; empty if it can be measured."""
        if self.measurable:
            return ""
        needs = f"needs {self.network.name} with the weights {self.network.weights}, for which " if self.network else ""
        return f"{needs}no implementation is registered"


_CLIP_B = Network("CLIP ViT-B/32", "ViT-B-32.pt")
_CLIP_L = Network("CLIP ViT-L/14 and the LAION head", "ViT-L-14.pt, sa_0_4_vit_l_14_linear.pth")
_DINO = Network("DINO ViT-B/16", "dino_vitbase16_pretrain.pth")
_GRIT = Network("GRiT", "grit_b_densecap_objectdet.pth")
_VICLIP = Network("ViCLIP", "ViClip-InternVid-10M-FLT.pth")

DIMENSIONS = Registry(
    "dimensions",
    {
        "subject_consistency": DimensionEntry(network=_DINO),
        "background_consistency": DimensionEntry(network=_CLIP_B),
        "temporal_flickering": DimensionEntry("framemill.eval.dimensions.temporal_flickering:TemporalFlickering"),
        "motion_smoothness": DimensionEntry(network=Network("AMT-S", "amt-s.pth")),
        "dynamic_degree": DimensionEntry(network=Network("RAFT", "raft-things.pth")),
        "aesthetic_quality": DimensionEntry(network=_CLIP_L),
        "imaging_quality": DimensionEntry(network=Network("MUSIQ", "musiq_spaq_ckpt-358bb6af.pth")),
        "object_class": DimensionEntry(network=_GRIT),
        "multiple_objects": DimensionEntry(network=_GRIT),
        "human_action": DimensionEntry(network=Network("UMT ViT-L/16", "l16_ptk710_ftk710_ftk400_f16_res224.pth")),
        "color": DimensionEntry(network=_GRIT),
        "spatial_relationship": DimensionEntry(network=_GRIT),
        "scene": DimensionEntry(network=Network("Tag2Text", "tag2text_swin_14m.pth")),
        "appearance_style": DimensionEntry(network=_CLIP_B),
        "temporal_style": DimensionEntry(network=_VICLIP),
        "overall_consistency": DimensionEntry(network=_VICLIP),
        "camera_motion": DimensionEntry(network=Network("CoTracker2", "cotracker2.pth"), image_to_video=True),
        "i2v_subject": DimensionEntry(network=_DINO, image_to_video=True),
        "i2v_background": DimensionEntry(network=Network("DreamSim", "the DreamSim ensemble"), image_to_video=True),
    },
)
"""All dimensions, in the order of the leaderboards: 16 of VBench, then the 3 that VBench-I2V adds."""

VBENCH_DIMENSIONS = tuple(name for name, entry in DIMENSIONS.items() if not entry.image_to_video)
"""Names of the 16 dimensions of VBench."""


def load_dimension(name: str) -> Dimension[Any]:
    """Returns a new instance of a dimension that has an implementation.

    Raises:
        RequestError: no dimension of that name is registered.
    """
    dimension: Dimension[Any] = DIMENSIONS.load(name)()
    return dimension
