"""Every dimension of VBench and VBench-I2V with what it needs, so that one not measured is listed with its reason.

Weights are named by the file upstream loads; VBench fetches them while it runs, Framemill never does.
"""

from __future__ import annotations

from dataclasses import dataclass

from framemill.eval.dimensions.base import measurable


@dataclass(frozen=True)
class Facts:
    """What one dimension stands on. `network` and `weights` are empty where arithmetic on pixels is enough."""

    name: str
    network: str = ""
    weights: str = ""


_DINO = ("DINO ViT-B/16", "dino_vitbase16_pretrain.pth")
_CLIP_B = ("CLIP ViT-B/32", "ViT-B-32.pt")
_GRIT = ("GRiT", "grit_b_densecap_objectdet.pth")
_VICLIP = ("ViCLIP", "ViClip-InternVid-10M-FLT.pth")

# In the order of the leaderboard.
VBENCH = (
    Facts("subject_consistency", *_DINO),
    Facts("background_consistency", *_CLIP_B),
    Facts("temporal_flickering"),
    Facts("motion_smoothness", "AMT-S", "amt-s.pth"),
    Facts("dynamic_degree", "RAFT", "raft-things.pth"),
    Facts("aesthetic_quality", "CLIP ViT-L/14 and the LAION head", "ViT-L-14.pt, sa_0_4_vit_l_14_linear.pth"),
    Facts("imaging_quality", "MUSIQ", "musiq_spaq_ckpt-358bb6af.pth"),
    Facts("object_class", *_GRIT),
    Facts("multiple_objects", *_GRIT),
    Facts("human_action", "UMT ViT-L/16", "l16_ptk710_ftk710_ftk400_f16_res224.pth"),
    Facts("color", *_GRIT),
    Facts("spatial_relationship", *_GRIT),
    Facts("scene", "Tag2Text", "tag2text_swin_14m.pth"),
    Facts("appearance_style", *_CLIP_B),
    Facts("temporal_style", *_VICLIP),
    Facts("overall_consistency", *_VICLIP),
)
VBENCH_I2V = (
    Facts("camera_motion", "CoTracker2", "cotracker2.pth"),
    Facts("i2v_subject", *_DINO),
    Facts("i2v_background", "DreamSim", "the DreamSim ensemble"),
)
CATALOGUE = {facts.name: facts for facts in VBENCH + VBENCH_I2V}


def obstacle(name: str) -> str:
    """Why a dimension of the catalogue cannot be measured here; empty where it can."""
    if name in measurable():
        return ""
    facts = CATALOGUE[name]
    return f"needs {facts.network} with the weights {facts.weights}, for which no implementation is registered"
