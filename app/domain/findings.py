"""Findings: what a look through stored files has come upon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on one file; ``harmless`` when nothing is lost or wrong by it."""

    sentence: str
    harmless: bool = False

    def __str__(self) -> str:
        return self.sentence
