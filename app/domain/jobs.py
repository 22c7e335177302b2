"""Jobs: long work that survives a stop, done in steps that may be repeated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""What a job is told and what it answers: plain values, so that any later release can read them."""


class JobKind(StrEnum):
    """What a job does."""

    IMPORT = "import"
    REEMBED = "reembed"
    REBUILD = "rebuild"
    EVALUATE = "evaluate"
    CALIBRATE = "calibrate"


class JobState(StrEnum):
    """Where a job stands; it ends in one of the last three."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING_DISK = "waiting_disk"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself or by ``resume``."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


def job_id_of(kind: JobKind, key: str) -> str:
    """The id of the job that was asked for under a key: the same for everyone who asks."""
    plain = key if re.fullmatch(r"[0-9A-Za-z-]{1,64}", key) else hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{kind}-{plain}"


@dataclass(frozen=True, slots=True)
class Step:
    """What a step left behind: ``done`` of ``total`` pieces of one population are in their final state.

    ``total`` is 0 while it is not known. ``result`` is the job's answer, given with the last step.
    """

    done: int
    total: int
    finished: bool = False
    result: Mapping[str, JSON] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Where one job stands. ``reason`` says why it failed, or what it is waiting for.

    ``rate`` is in pieces a second since the job last began or went on; None before the first step of that run.
    """

    job_id: str
    kind: JobKind
    state: JobState
    done: int
    total: int
    started: datetime
    updated: datetime
    arguments: Mapping[str, JSON] = field(default_factory=dict)
    reason: str | None = None
    result: Mapping[str, JSON] | None = None
    rate: float | None = None

    @property
    def progress(self) -> float:
        """The share that is done, from 0 to 1."""
        if not self.total:
            return float(self.state is JobState.DONE)
        return min(1.0, self.done / self.total)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; None when that cannot be said."""
        if self.state is not JobState.RUNNING or not self.rate or self.total < self.done:
            return None
        return (self.total - self.done) / self.rate
