"""The filter `black_bars`: the share of the frame that is letterbox or pillarbox."""

from __future__ import annotations

from framemill.data_filters.filters.clip_frames import ClipFrames


class BlackBars:
    """`black_bars`: share of the frame covered by black bars, 0..1.

    A bar is dark in all frames of the clip and ends at a straight edge. See `find_bars` for how bars are distinguished
    from dark scenes and logos.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        return {"black_bars": clip.bars.share(*clip.luma[0].shape)}
