"""How much of a frame is letterbox or pillarbox."""

from __future__ import annotations

from framemill.data_filters.filters.clip_frames import ClipFrames


class BlackBars:
    """`black_bars`: share of the frame (0..1) that black bars cover.

    A bar is dark throughout the clip and ends at a straight edge; `find_bars` says how a dark scene and a logo are told
    from one.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        return {"black_bars": clip.bars.share(*clip.luma[0].shape)}
