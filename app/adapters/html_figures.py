"""The curves of a report as SVG texts, the same bytes for the same numbers; colours come from the page's style."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.open_set import OpenSet
from app.domain.report import Calibration, Report, Truthful

# Stand-ins that the page's style replaces, so that curves follow light, dark and print.
_INK, _SOFT, _FIRST, _SECOND = "#010203", "#040506", "#070809", "#0a0b0c"
_CLASSES = {_INK: "var(--ink)", _SOFT: "var(--line)", _FIRST: "var(--first)", _SECOND: "var(--second)"}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "resight",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _SOFT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "figure.figsize": (5.4, 3.1),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """SVG texts; empty where there is nothing to draw."""

    histogram: str
    match_curve: str
    open_set: str
    calibration: str


def drawn(report: Report) -> Drawn:
    """Every curve of a report."""
    named = ((report.right, "any match"), (report.elsewhere, "other encounter"))
    sides = [(side, name) for side, name in named if side]
    return Drawn(
        histogram=_svg("histogram", lambda axes: _histogram(axes, sides)) if sides else "",
        match_curve=_svg("curve", lambda axes: _match_curve(axes, sides)) if sides else "",
        open_set=_svg("open", lambda axes: _open_set(axes, report.open_sets)) if report.open_sets else "",
        calibration=_calibrated(report.calibration) if report.calibration else "",
    )


def _svg(name: str, draw: Callable[[Any], None]) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # Ids of several drawings in one page must not meet; a size in points would not bend to the page.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r' width="[\d.]+pt"', "", re.sub(r' height="[\d.]+pt"', "", text, count=1), count=1)
    for stand_in, colour in _CLASSES.items():
        text = text.replace(stand_in, colour)
    return text.strip()


def _histogram(axes: Any, sides: list[tuple[Truthful, str]]) -> None:
    for (side, name), colour in zip(sides, (_FIRST, _SECOND), strict=False):
        steps = len(side.histogram)
        edges = [step / steps for step in range(steps + 1)]
        heights = [100 * count / side.queries for count in side.histogram]
        filled = colour == _FIRST
        axes.stairs(heights, edges, fill=filled, color=colour, linewidth=1.8, alpha=0.55 if filled else 1, label=name)
    axes.set(xlabel="average precision of a query", ylabel="queries (%)", xlim=(0, 1), ylim=(0, None))
    axes.legend(loc="upper center")


def _match_curve(axes: Any, sides: list[tuple[Truthful, str]]) -> None:
    for (side, name), colour, dashes in zip(sides, (_FIRST, _SECOND), ("-", "--"), strict=False):
        places = range(1, len(side.match_curve) + 1)
        axes.plot(places, [100 * share for share in side.match_curve], dashes, color=colour, label=name, linewidth=2)
    axes.set(xlabel="candidates looked at", ylabel="a right answer seen (%)", xlim=(1, 20), ylim=(0, 100))
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.legend(loc="lower right")


def _open_set(axes: Any, open_sets: Mapping[str, OpenSet]) -> None:
    axes.plot([0, 100], [0, 100], ":", color=_SOFT, linewidth=1.5)
    for (name, overlap), colour, dashes in zip(open_sets.items(), (_FIRST, _SECOND), ("-", "--"), strict=False):
        new, known = zip(*overlap.curve, strict=True)
        axes.plot([100 * x for x in new], [100 * y for y in known], dashes, color=colour, linewidth=2, label=name)
    axes.axhline(95, color=_INK, linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="new animals taken for known (%)", ylabel="known animals accepted (%)", xlim=(0, 100), ylim=(0, 100)
    )
    axes.legend(loc="lower right")


def _calibrated(calibration: Calibration) -> str:
    return _svg("calibration", lambda axes: _calibration(axes, calibration))


def _calibration(axes: Any, calibration: Calibration) -> None:
    bins = calibration.bins
    axes.plot([0, 1], [0, 1], ":", color=_SOFT, linewidth=1.5)
    axes.plot([stated for stated, _ in bins], [true for _, true in bins], "o-", color=_FIRST, linewidth=2)
    axes.set(xlabel="probability that was told", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1))
