"""Jobs: how far they are, and how long the rest takes."""

from datetime import UTC, datetime

import pytest

from app.domain.jobs import Job, JobKind, JobState

NOW = datetime(2024, 7, 1, tzinfo=UTC)


def job(state: JobState, done: int, total: int, rate: float | None = None) -> Job:
    return Job("import-1", JobKind.IMPORT, state, done, total, NOW, NOW, rate=rate)


@pytest.mark.parametrize(
    ("state", "done", "total", "progress"),
    [
        (JobState.RUNNING, 1, 4, 0.25),
        (JobState.RUNNING, 0, 0, 0.0),
        (JobState.DONE, 0, 0, 1.0),
        (JobState.RUNNING, 5, 4, 1.0),
    ],
)
def test_progress_is_a_share_of_one_population(state, done, total, progress):
    """It stays within 0 and 1; work without pieces is done when it is done."""
    assert job(state, done, total).progress == progress


@pytest.mark.parametrize(
    ("state", "rate", "left"),
    [
        (JobState.RUNNING, 2.0, 4.0),
        (JobState.RUNNING, None, None),
        (JobState.PAUSED, 2.0, None),
    ],
)
def test_the_time_left_follows_from_the_rate(state, rate, left):
    """It is told only while the job runs at a known rate."""
    assert job(state, 2, 10, rate).seconds_left == left


def test_three_states_are_the_end():
    """Every other one goes on, by itself or when it is resumed."""
    assert {state for state in JobState if state.ended} == {JobState.DONE, JobState.FAILED, JobState.CANCELLED}
