"""report.html: what was kept and why not, in one file that needs nothing else."""

from __future__ import annotations

import base64
from collections import Counter
from html import escape
from typing import Any

import numpy as np

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger import read_thumbnails
from framemill.data_filters.sources import Source
from framemill.data_filters.summary import STATES
from framemill.platform import storage

SHEET = 24
"""Pictures on a contact sheet."""
BINS = 32
WIDTH, HEIGHT = 320, 90
COLOURS = {"kept": "#2a7f62", "filtered": "#c98b2b", "failed": "#b23a48", "duplicate": "#7a7a8c"}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.15em 1em .15em 0;text-align:left;vertical-align:top}
.grid{display:flex;flex-wrap:wrap;gap:14px}figure{margin:0;width:160px;font-size:12px;line-height:1.3}
figure img{display:block;border-radius:3px}svg{display:block}small{color:#777}"""
Row = dict[str, Any]


def write_report(config: CurateConfig, found: list[Source], sources: list[Row], clips: list[Row]) -> None:
    """Writes `<output>/report.html` from the rows of both ledger tables."""
    sections = [
        f"<h1>Curation of {len(sources)} sources</h1>",
        funnel(sources, clips),
        reasons(sources, clips),
        histograms(config, clips),
        contact_sheet(config, found, clips, "kept", "caption"),
        contact_sheet(config, found, clips, "filtered", "reason"),
        contact_sheet(config, found, clips, "failed", "reason"),
    ]
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Framemill: curation</title>"
        f"<style>{STYLE}</style>{''.join(sections)}</html>\n"
    )
    storage.write_atomic(storage.join(config.output, "report.html"), page.encode())


def funnel(sources: list[Row], clips: list[Row]) -> str:
    """Bars of how many clips and minutes ended in each state."""
    longest = max(1, len(clips))
    rows = []
    for state in STATES:
        chosen = [clip for clip in clips if clip["state"] == state]
        minutes = sum(clip["end_s"] - clip["start_s"] for clip in chosen) / 60
        length = f"{400 * len(chosen) / longest:.1f}"
        bar = f'<svg width=400 height=14><rect width={length} height=14 fill="{COLOURS[state]}"/></svg>'
        rows.append(f"<tr><td>{state}<td>{len(chosen)}<td>{minutes:.1f} min<td>{bar}")
    states = Counter(source["state"] for source in sources)
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"<p>Sources: {told}. Clips found: {len(clips)}.</p><table>{''.join(rows)}</table>"


def reasons(sources: list[Row], clips: list[Row]) -> str:
    """Why clips were not kept, counted; and each source that failed, was a duplicate, or was screened."""
    counts = Counter((clip["state"], clip["reason"]) for clip in clips if clip["reason"])
    rows = "".join(
        f"<tr><td>{count}<td>{state}<td>{escape(reason)}"
        for (state, reason), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    table = f"<h2>Why not</h2><table>{rows}</table>" if rows else ""
    told = "".join(
        f"<tr><td>{escape(source['path'])}<td>{source['state']}<td>{escape(source['reason'])}"
        for source in sources
        if source["state"] in ("failed", "duplicate") or (source["state"] == "filtered" and not source["clips"])
    )
    return table + (
        f"<h2>Sources that failed, repeat another, or hold nothing to keep</h2><table>{told}</table>" if told else ""
    )


def histograms(config: CurateConfig, clips: list[Row]) -> str:
    """A histogram a score, kept clips on top of the others, with the selected band marked."""
    charts = "".join(histogram(config, name, clips) for name in config.scores)
    return f"<h2>Scores</h2><div class=grid>{charts}</div>"


def histogram(config: CurateConfig, name: str, clips: list[Row]) -> str:
    values = np.array([clip[name] for clip in clips if clip[name] is not None], float)
    kept = np.array([clip[name] for clip in clips if clip["state"] == "kept"], float)
    if not len(values):
        return ""
    edges = np.linspace(values.min(), max(values.max(), values.min() + 1e-6), BINS + 1)
    every, chosen = np.histogram(values, edges)[0], np.histogram(kept, edges)[0]
    scale = (HEIGHT - 4) / max(1, every.max())
    step = WIDTH / BINS
    bars = "".join(
        f"<rect x={i * step:.1f} y={HEIGHT - count * scale:.1f} width={step - 1:.1f} height={count * scale:.1f} "
        f'fill="{fill}"/>'
        for counts, fill in ((every, "#d8d3c8"), (chosen, COLOURS["kept"]))
        for i, count in enumerate(counts)
        if count
    )
    band = config.select.bands.get(name)
    for limit in (band.min, band.max) if band else ():
        if limit is not None and edges[0] <= limit <= edges[-1]:
            x = (limit - edges[0]) / (edges[-1] - edges[0]) * WIDTH
            bars += (
                f'<line x1={x:.1f} x2={x:.1f} y1=0 y2={HEIGHT} stroke="{COLOURS["failed"]}" stroke-dasharray="3 3"/>'
            )
    told = f"{edges[0]:.3g} to {edges[-1]:.3g}, median {np.median(values):.3g}"
    return f"<div><b>{name}</b> <small>{told}</small><svg width={WIDTH} height={HEIGHT}>{bars}</svg></div>"


def contact_sheet(config: CurateConfig, found: list[Source], clips: list[Row], state: str, said: str) -> str:
    """Pictures of clips in a state, evenly spread over the keys, each with what is said of it."""
    those = [clip for clip in clips if clip["state"] == state]
    if not those:
        return ""
    chosen = [those[i * len(those) // SHEET] for i in range(SHEET)] if len(those) > SHEET else those
    by_path = {source.path: source for source in found}
    pictures: dict[str, bytes] = {}
    for path in {clip["path"] for clip in chosen}:
        pictures |= read_thumbnails(config.from_ or config.output, by_path[path])
    figures = "".join(figure(clip, clip[said] or "", pictures.get(clip["key"])) for clip in chosen)
    return f"<h2>{state.capitalize()} ({len(those)})</h2><div class=grid>{figures}</div>"


def figure(clip: Row, words: str, jpeg: bytes | None) -> str:
    """A clip with its picture, which a dataset without its work/ folder has no more."""
    where = f"{escape(clip['path'])} {clip['start_s']:.1f}-{clip['end_s']:.1f} s"
    data = base64.b64encode(jpeg).decode() if jpeg else ""
    picture = f'<img width=160 alt="" src="data:image/jpeg;base64,{data}">' if jpeg else ""
    return f"<figure>{picture}{escape(words)}<br><small>{where}</small></figure>"
