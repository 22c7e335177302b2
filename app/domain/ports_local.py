"""The ports of local features: how they are found and compared, and where they are kept."""

from __future__ import annotations

from typing import Protocol

from app.domain.marks import Marks


class LocalFeatures(Protocol):
    """Local features of photographs at work."""

    @property
    def fingerprint(self) -> str:
        """A name that changes whenever the features of a photograph would."""

    @property
    def installed(self) -> bool:
        """Whether there is a library to find them with."""

    def describe(self, picture: bytes) -> Marks:
        """The features of a picture (JPEG); raises ModelUnavailable where the library is not installed."""

    def agreeing(self, one: Marks, other: Marks) -> int:
        """How many features of two photographs look alike and lie as one shift, turn and scale would bring them."""


class MarksCache(Protocol):
    """Features by the content of their photographs. What is lost is computed again: nothing here ever fails."""

    def get(self, fingerprint: str, key: str) -> Marks | None:
        """What is kept whole under this key, otherwise None."""

    def put(self, fingerprint: str, key: str, marks: Marks) -> None:
        """Keep features, if there is room."""
