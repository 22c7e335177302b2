"""The report of an evaluation as one HTML file: a Jinja2 template with its style, pictures and curves inside."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.adapters.html_figures import Drawn, drawn
from app.domain.published import finalists
from app.domain.report import Report

# Pictures of one report together; beyond it they are left out, so that the file can be mailed.
MAX_PICTURES = 4_000_000


class HtmlReports:
    """The Reports port; everything that comes from a user is escaped by the template engine."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("app.adapters", "report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"share": _share, "figure": _figure, "signed": _signed, "finalists": finalists}

    def render(self, report: Report) -> bytes:
        figures: Drawn = drawn(report)
        template = self._environment.get_template("report.html")
        return template.render(report=report, drawn=figures, pictures=_Pictures()).encode()


class _Pictures:
    """Hands out pictures as data addresses until the file would grow too large."""

    def __init__(self) -> None:
        self._left = MAX_PICTURES

    def address(self, jpeg: bytes | None) -> str:
        """A data address, empty for a picture that is not there or has no room."""
        if jpeg is None or len(jpeg) > self._left:
            return ""
        self._left -= len(jpeg)
        return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value in {0.0, 1.0} else f"{100 * value:.1f} %"


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
