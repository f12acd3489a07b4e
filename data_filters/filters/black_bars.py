"""How much of the picture is not picture: letterbox and pillarbox."""

from __future__ import annotations

from framemill.data_filters.filters.clip_frames import ClipFrames


class BlackBars:
    """`black_bars`: share of the picture (0..1) that bars cover which stay dark throughout the clip and end along a
    straight edge (`find_bars` says how a dark scene and a logo are told from them)."""

    def score(self, clip: ClipFrames) -> dict[str, float]:
        return {"black_bars": clip.bars.share(*clip.luma[0].shape)}
