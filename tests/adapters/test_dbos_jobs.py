"""Jobs on DBOS: recorded once, run in order, paused and resumed, waiting out what is away, alone on their folder."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.adapters.dbos_engine import jobs_engine
from app.adapters.dbos_folder import Folder
from app.adapters.dbos_jobs import DbosJobs
from app.domain.errors import (
    BadArchive,
    CatalogueUnavailable,
    Conflict,
    KeyReused,
    StorageFull,
    Unavailable,
    UnknownJob,
)
from app.domain.jobs import JSON, Job, JobKind, JobState, Step
from tests.databases import new_postgres_database

PATIENCE = 30.0


@dataclass
class Gated:
    """Work of ``steps`` steps, each of which waits until it is let go on; ``errors`` come before anything is done."""

    steps: int = 3
    open: threading.Event = field(default_factory=threading.Event)
    errors: list[Exception] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    leaving: Callable[[], bool] = lambda: False
    left: int = 0
    inside: threading.Event = field(default_factory=threading.Event)

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:
        if self.errors:
            raise self.errors.pop(0)
        self.inside.set()
        while not self.open.wait(0.01):
            if self.leaving():
                self.left += 1
                return Step(seen, self.steps)
        self.seen.append(seen)
        last = seen + 1 >= self.steps
        return Step(seen + 1, self.steps, last, {"told": dict(arguments)} if last else None)


@dataclass
class Running:
    jobs: DbosJobs
    works: dict[JobKind, Gated]
    folder: Path
    url: str

    def until(self, job_id: str, holds: Callable[[Job], bool]) -> Job:
        end = time.monotonic() + PATIENCE
        while not holds(job := self.jobs.job(job_id)):
            assert time.monotonic() < end, job
            time.sleep(0.02)
        return job

    def ended(self, job_id: str) -> Job:
        return self.until(job_id, lambda job: job.state.ended)


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def running(request, tmp_path_factory) -> Iterator[Running]:
    """One worker for the tests of this module: starting one takes a second."""
    folder = tmp_path_factory.mktemp("jobs")
    with ExitStack() as stack:
        sqlite = request.param == "sqlite"
        url = f"sqlite:///{folder}/jobs.sqlite" if sqlite else stack.enter_context(new_postgres_database())
        jobs = DbosJobs(folder, url)
        works = {kind: Gated() for kind in JobKind}
        jobs.start(works)
        yield Running(jobs, works, folder, url)
        jobs.close()


@pytest.fixture(autouse=True)
def _open(request) -> None:
    """Each test begins with works that run through at once."""
    if "running" in request.fixturenames:
        running = request.getfixturevalue("running")
        for work in running.works.values():
            work.open, work.errors, work.seen, work.left = threading.Event(), [], [], 0
            work.leaving, work.inside = running.jobs.stopping, threading.Event()
            work.open.set()


def held_up(running: Running) -> tuple[Gated, str]:
    """A job that is inside its step, and stays there until its gate is opened."""
    gated = running.works[JobKind.EVALUATE]
    gated.open.clear()
    job_id = running.jobs.enqueue(JobKind.EVALUATE, {}).job_id
    assert gated.inside.wait(PATIENCE)
    return gated, job_id


def test_a_job_runs_step_by_step_to_its_result(running):
    """Each step is told how far the one before came; the last one gives the result."""
    job = running.jobs.enqueue(JobKind.EVALUATE, {"pack": "a", "deep": [1, {"b": None}]})
    done = running.ended(job.job_id)
    assert (done.state, done.done, done.total, done.progress) == (JobState.DONE, 3, 3, 1.0)
    assert done.result == {"told": {"pack": "a", "deep": [1, {"b": None}]}}
    assert running.works[JobKind.EVALUATE].seen == [0, 1, 2]
    assert done.started <= done.updated


def test_a_key_makes_one_job(running):
    """The same key gives the same job, also from ten threads at once; with other arguments it is refused."""
    found: list[str] = []

    def ask() -> None:
        found.append(running.jobs.enqueue(JobKind.REBUILD, {"n": 1}, key="one key").job_id)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 10
    assert len(set(found)) == 1
    running.ended(found[0])
    assert running.works[JobKind.REBUILD].seen == [0, 1, 2]
    with pytest.raises(KeyReused):
        running.jobs.enqueue(JobKind.REBUILD, {"n": 2}, key="one key")


def test_a_paused_job_leaves_the_queue_to_the_others(running):
    """It answers paused at once, the job behind it runs, and after resume it goes on to its end."""
    gated = running.works[JobKind.EVALUATE]
    gated.open.clear()
    first = running.jobs.enqueue(JobKind.EVALUATE, {})
    running.until(first.job_id, lambda job: job.state is JobState.RUNNING)
    second = running.jobs.enqueue(JobKind.REBUILD, {})
    assert running.jobs.job(second.job_id).state is JobState.WAITING
    assert running.jobs.pause(first.job_id).state is JobState.PAUSED
    assert running.ended(second.job_id).state is JobState.DONE
    assert running.jobs.job(first.job_id).state is JobState.PAUSED
    gated.open.set()
    assert running.jobs.resume(first.job_id).state in {JobState.WAITING, JobState.RUNNING}
    assert running.ended(first.job_id).state is JobState.DONE


def test_a_cancelled_job_has_ended(running):
    """It is neither resumed nor cancelled again, and a job that is done cannot be paused."""
    gated = running.works[JobKind.EVALUATE]
    gated.open.clear()
    job_id = running.jobs.enqueue(JobKind.EVALUATE, {}).job_id
    running.until(job_id, lambda job: job.state is JobState.RUNNING)
    running.jobs.pause(job_id)
    assert running.jobs.cancel(job_id).state is JobState.CANCELLED
    for act in (running.jobs.resume, running.jobs.cancel, running.jobs.pause):
        with pytest.raises(Conflict):
            act(job_id)


def test_a_resume_that_is_cut_off_leaves_the_job_paused_or_going_on(running, monkeypatch):
    """At no moment of it is a paused job taken for a cancelled one; asking again puts it back."""
    gated = running.works[JobKind.EVALUATE]
    gated.open.clear()
    job_id = running.jobs.enqueue(JobKind.EVALUATE, {}).job_id
    running.jobs.pause(job_id)

    def away(*_: object, **__: object) -> None:
        raise CatalogueUnavailable("the jobs' database does not answer")

    for write in ("resume_workflow", "update_workflow_attributes"):
        with monkeypatch.context() as patched:
            patched.setattr(running.jobs._client, write, away)
            with suppress(CatalogueUnavailable):
                running.jobs.resume(job_id)
            assert running.jobs.job(job_id).state is not JobState.CANCELLED
    running.jobs.resume(job_id)
    gated.open.set()
    assert running.ended(job_id).state is JobState.DONE


def test_a_job_that_is_told_to_leave_makes_no_empty_steps(running):
    """Where nobody wanted it in the end it is taken up again by itself, and never turns without getting on."""
    gated, job_id = held_up(running)
    worker = running.jobs._worker
    assert worker
    worker.halt(job_id)
    time.sleep(1.0)
    assert gated.left <= 1
    gated.open.set()
    assert running.ended(job_id).state is JobState.DONE


def test_a_pause_that_is_taken_back_at_once_stops_nothing(running):
    """The job leaves the step under way once, and goes on."""
    gated, job_id = held_up(running)
    running.jobs.pause(job_id)
    running.jobs.resume(job_id)
    time.sleep(1.0)
    assert gated.left <= 1
    gated.open.set()
    assert running.ended(job_id).state is JobState.DONE


def test_waits_and_pauses_are_no_tries(running, monkeypatch):
    """However often a job that harms nobody waits or is paused within one step, it does not fail for it."""
    monkeypatch.setattr("app.adapters.dbos_run._TRIES", 2)
    monkeypatch.setattr("app.adapters.dbos_run._FIRST_PAUSE", 0.01)
    gated = running.works[JobKind.EVALUATE]
    gated.open.clear()
    gated.errors = [StorageFull("the disk is full")] * 3
    job_id = running.jobs.enqueue(JobKind.EVALUATE, {}).job_id
    for _ in range(3):
        assert gated.inside.wait(PATIENCE)
        running.jobs.pause(job_id)
        gated.inside.clear()
        running.jobs.resume(job_id)
    gated.open.set()
    assert running.ended(job_id).state is JobState.DONE


def test_a_step_tells_how_far_it_is(running):
    """A job knows its total and its rate before its first step has ended."""
    gated, job_id = held_up(running)
    running.jobs.reached(1, 3)
    told = running.until(job_id, lambda job: job.total > 0)
    assert (told.done, told.total) == (1, 3)
    assert told.rate
    assert told.seconds_left
    gated.open.set()
    assert running.ended(job_id).state is JobState.DONE
    running.jobs.reached(2, 3)
    assert running.jobs.job(job_id).done == 3


def test_asking_is_not_attending(tmp_path):
    """Those who ask at the same time whether somebody is at work do not take each other for it."""
    folder = Folder(tmp_path)
    with (tmp_path / "worker.lock").open("w") as one, (tmp_path / "jobs.lock").open("w") as other:
        for lock in (one, other):
            fcntl.flock(lock, fcntl.LOCK_SH)
        assert not folder.attended()
        assert not folder.at_work()
    never = lambda: False  # noqa: E731 - two words
    with folder.attending(never), folder.alone(never):
        assert folder.attended()
        assert folder.at_work()


def test_a_full_disk_is_waited_out(running):
    """The job says that it waits for the disk, and goes on by itself."""
    running.works[JobKind.EVALUATE].errors = [StorageFull("the disk is full")]
    job_id = running.jobs.enqueue(JobKind.EVALUATE, {}).job_id
    waiting = running.until(job_id, lambda job: job.state is JobState.WAITING_DISK)
    assert waiting.reason == "the disk is full"
    done = running.ended(job_id)
    assert (done.state, done.reason) == (JobState.DONE, None)


def test_a_failed_job_tells_why_and_the_next_one_runs(running):
    """What was raised on purpose is told; a bug is told as one, without its words."""
    for error, reason in (
        (BadArchive("the archive is gone"), "the archive is gone"),
        (MemoryError("at 0x7f"), "unexpected error; see the log"),
    ):
        running.works[JobKind.REEMBED].errors = [error]
        failed = running.ended(running.jobs.enqueue(JobKind.REEMBED, {}).job_id)
        assert (failed.state, failed.reason) == (JobState.FAILED, reason)
    assert running.ended(running.jobs.enqueue(JobKind.REEMBED, {}).job_id).state is JobState.DONE


def test_jobs_are_listed_newest_first_by_kind_and_state(running):
    """Filters agree with what a single job says, and pages neither lose nor repeat a job."""
    for _ in range(3):
        running.ended(running.jobs.enqueue(JobKind.IMPORT, {"import_id": 1}).job_id)
    found = running.jobs.jobs(kinds=[JobKind.IMPORT], states=[JobState.DONE])
    assert len(found) >= 3
    assert [job.started for job in found] == sorted((job.started for job in found), reverse=True)
    pages = [running.jobs.jobs(kinds=[JobKind.IMPORT], states=[JobState.DONE], limit=1, offset=n)[0] for n in range(3)]
    assert [job.job_id for job in pages] == [job.job_id for job in found[:3]]
    assert all(job.state is JobState.FAILED for job in running.jobs.jobs(states=[JobState.FAILED]))


def test_an_unknown_job_is_told(running):
    """No id of any form is taken for a job."""
    for job_id in ("import-0", "", "x" * 90):
        with pytest.raises(UnknownJob):
            running.jobs.job(job_id)


def test_another_process_asks_and_commands_but_does_not_run(running):
    """What another process records is run here, and what it pauses stops here."""
    other = DbosJobs(running.folder, running.url)
    gated = running.works[JobKind.EVALUATE]
    gated.open.clear()
    job_id = other.enqueue(JobKind.EVALUATE, {}).job_id
    running.until(job_id, lambda job: job.state is JobState.RUNNING)
    assert other.pause(job_id).state is JobState.PAUSED
    gated.open.set()
    other.resume(job_id)
    assert running.ended(job_id).state is JobState.DONE
    other.close()


def test_a_job_and_a_command_are_never_at_work_at_once(running):
    """While a command has the data folder to itself a job waits for it, and the other way round."""
    other = DbosJobs(running.folder, running.url)
    job_id = other.run(lambda: running.jobs.enqueue(JobKind.EVALUATE, {}).job_id)
    running.ended(job_id)
    running.works[JobKind.EVALUATE].seen.clear()

    def beside() -> str:
        late = running.jobs.enqueue(JobKind.EVALUATE, {}).job_id
        time.sleep(1.5)
        assert running.works[JobKind.EVALUATE].seen == []
        return late

    assert running.ended(other.run(beside)).state is JobState.DONE
    other.close()
    with pytest.raises(Unavailable, match="stopped"):
        other.run(lambda: None)


def test_a_database_that_does_not_answer_is_told(tmp_path):
    """No error of a driver leaves the adapter, and nothing waits for minutes."""
    jobs = DbosJobs(tmp_path, f"sqlite:///{tmp_path}/no/such/folder/jobs.sqlite")
    for act in (lambda: jobs.job("import-1"), lambda: jobs.enqueue(JobKind.IMPORT, {}), jobs.jobs):
        with pytest.raises(CatalogueUnavailable):
            act()
    jobs.close()


def test_the_jobs_are_kept_by_a_sound_sqlite(tmp_path):
    """The library is the one of the catalogue, and a commit is on disk before it is told."""
    engine = jobs_engine(f"sqlite:///{tmp_path}/jobs.sqlite")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT sqlite_version()").scalar_one() >= "3.51.3"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    engine.dispose()


_CHILD = """
import os, sys, time
from pathlib import Path
from app.adapters.dbos_jobs import DbosJobs
from app.domain.jobs import JobKind, Step

folder, url = Path(sys.argv[1]), sys.argv[2]

class Counting:
    def step(self, arguments, seen):
        with (folder / "steps").open("a") as out:
            out.write(f"{seen}\\n")
        time.sleep(0.15)
        return Step(seen + 1, 8, seen + 1 == 8, {"sum": 8} if seen + 1 == 8 else None)

jobs = DbosJobs(folder, url)
jobs.start({kind: Counting() for kind in JobKind})
jobs.enqueue(JobKind.EVALUATE, {}, key="the-one")
while not jobs.job("evaluate-the-one").state.ended:
    time.sleep(0.05)
jobs.close()
"""


# Three processes take their time to start; `make crash` kills on PostgreSQL as well.
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_a_killed_process_leaves_a_job_that_goes_on_by_itself(tmp_path, kind):
    """After kill -9 the next process repeats at most the step under way, and the job is done once."""
    with ExitStack() as stack:
        sqlite = f"sqlite:///{tmp_path}/jobs.sqlite"
        url = sqlite if kind == "sqlite" else stack.enter_context(new_postgres_database())
        command = [sys.executable, "-c", _CHILD, str(tmp_path), url]
        steps = tmp_path / "steps"
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        for least in (2, 4):
            child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            end = time.monotonic() + PATIENCE
            while not steps.exists() or len(steps.read_text().split()) < least:
                assert time.monotonic() < end
                assert child.poll() is None
                time.sleep(0.02)
            child.send_signal(signal.SIGKILL)
            child.wait()
        jobs = DbosJobs(tmp_path, url)
        left = jobs.job("evaluate-the-one")
        assert (left.state, left.reason) == (JobState.WAITING, "no process runs jobs now")
        subprocess.run(command, env=environment, timeout=60, stderr=subprocess.DEVNULL, check=True)
        done = jobs.job("evaluate-the-one")
        assert (done.state, done.done, done.result) == (JobState.DONE, 8, {"sum": 8})
        jobs.close()
        said = [int(line) for line in steps.read_text().split()]
        assert sorted(set(said)) == list(range(8))
        assert len(said) <= 8 + 2
