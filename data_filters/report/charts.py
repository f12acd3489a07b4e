"""Histograms as SVG, for the report and for MLflow."""

from __future__ import annotations

from html import escape

from framemill.data_filters.report.histograms import Histogram

_WIDTH, _HEIGHT = 340, 140
"""Size of a chart, pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 4, 336, 26, 116
"""Area of the bars, pixels."""
STYLE = (
    "svg{font:11px system-ui,sans-serif;background:#fff}text{fill:#5d6470}.kept{fill:#1f8a63}.dropped{fill:#e0952f}"
    ".others{fill:#c9cdd4}.limit{stroke:#c0392b;stroke-dasharray:4 3}.limit-word{fill:#c0392b}.axis{stroke:#c9cdd4}"
)
"""CSS of a chart in a file of its own; in the report the CSS of the page applies."""


def chart(figure: Histogram, style: str = "") -> str:
    """Returns an SVG of stacked bars: kept clips, clips that this score's bounds rejected, other rejected clips."""
    tallest = max(map(sum, zip(figure.kept, figure.dropped, figure.others, strict=True)))
    parts = [f"<style>{style}</style>" if style else ""]
    step = (_RIGHT - _LEFT) / len(figure.kept)
    for i, counts in enumerate(zip(figure.kept, figure.dropped, figure.others, strict=True)):
        if not any(counts):
            continue
        words = f"{figure.edges[i]:.4g} to {figure.edges[i + 1]:.4g}: {sum(counts)} clips, {counts[0]} kept"
        parts.append(f"<g><title>{words}</title>")
        base = float(_BOTTOM)
        for kind, count in zip(("kept", "dropped", "others"), counts, strict=True):
            if count:
                # A single clip among many must still be visible.
                height = max(1.5, count / tallest * (_BOTTOM - _TOP))
                base -= height
                box = f'x="{_LEFT + i * step:.2f}" y="{base:.2f}" width="{step - 0.8:.2f}" height="{height:.2f}"'
                parts.append(f'<rect class="{kind}" {box}/>')
        parts.append("</g>")
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>')
    parts.extend(_limit_line(figure, end, value) for end, value in figure.limits.items())
    low = f"{figure.edges[0]:.4g}" + (f" and less ({figure.below})" if figure.below else "")
    high = f"{figure.edges[-1]:.4g}" + (f" and more ({figure.above})" if figure.above else "")
    parts.append(f'<text x="{_LEFT}" y="{_BOTTOM + 15}">{low}</text>')
    parts.append(f'<text x="{_RIGHT}" y="{_BOTTOM + 15}" text-anchor="end">{high}</text>')
    name = escape(figure.name)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}"'
    return f'{head} data-score="{name}">{"".join(parts)}</svg>'


def _limit_line(figure: Histogram, end: str, value: float) -> str:
    """Returns a bound as a dashed line with its value; as an arrow if the bound is outside the axis."""
    low, high = figure.edges[0], figure.edges[-1]
    inside = low <= value <= high
    x = _LEFT + (min(max(value, low), high) - low) / (high - low) * (_RIGHT - _LEFT)
    end = escape(end)
    words = f"{end} {value:g}" if inside else f"\u2039 {end} {value:g}" if value < low else f"{end} {value:g} \u203a"
    anchor = "start" if x < _WIDTH / 4 else "end" if x > _WIDTH * 3 / 4 else "middle"
    text = f'<text class="limit-word" x="{x:.1f}" y="{_TOP - 8}" text-anchor="{anchor}">{words}</text>'
    line = f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{_BOTTOM}"/>'
    return text + (line if inside else "")
