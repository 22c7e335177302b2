"""Jobs: in order, alone on the data folder where it is asked for, and never in the way of a stop."""

import threading

import pytest
from structlog.testing import capture_logs

from app.adapters.thread_jobs import ThreadJobs
from app.domain.errors import StorageFull, Unavailable

PATIENCE = 30


def raising(error: Exception):
    def work():
        raise error

    return work


def test_jobs_run_in_order_and_later_ones_later(tmp_path):
    """A job with a pause before it comes behind those that were submitted meanwhile."""
    jobs, seen, done = ThreadJobs(tmp_path), [], threading.Event()
    jobs.submit("late", lambda: (seen.append("late"), done.set()), after=0.05)
    jobs.submit("one", lambda: seen.append("one"))
    jobs.submit("two", lambda: seen.append("two"))
    assert done.wait(PATIENCE)
    jobs.close()
    assert seen == ["one", "two", "late"]


def test_two_processes_take_turns(tmp_path):
    """Whoever asks second waits until the first is through."""
    one, two = ThreadJobs(tmp_path), ThreadJobs(tmp_path)
    seen, begun, go = [], threading.Event(), threading.Event()

    def first():
        begun.set()
        go.wait(PATIENCE)
        seen.append("first")

    one.submit("first", lambda: one.run(first))
    assert begun.wait(PATIENCE)
    two.submit("second", lambda: two.run(lambda: seen.append("second")))
    two.submit("alongside", lambda: seen.append("behind the second"))
    threading.Timer(0.15, go.set).start()
    assert two.run(lambda: "answer") == "answer"
    while len(seen) < 3:
        threading.Event().wait(0.01)
    assert seen[0] == "first"
    one.close()
    two.close()


def test_a_stop_ends_the_wait_for_another_process(tmp_path):
    """A service that waits for the import of a command line can be stopped at once; what it waited for is not done."""
    busy, waiting = ThreadJobs(tmp_path), ThreadJobs(tmp_path)
    begun, go, outcome = threading.Event(), threading.Event(), []
    busy.submit("long", lambda: busy.run(lambda: (begun.set(), go.wait(PATIENCE))))
    assert begun.wait(PATIENCE)
    entered = threading.Event()

    def asks():
        entered.set()
        try:
            waiting.run(lambda: outcome.append("ran"))
        except Unavailable as error:
            outcome.append(str(error))
            raise

    waiting.submit("asks", asks)
    assert entered.wait(PATIENCE)
    with capture_logs() as logs:
        waiting.close()
    assert outcome == ["the service is being stopped"]
    assert [line["log_level"] for line in logs] == ["info"]
    assert not go.is_set()
    go.set()
    busy.close()


def test_work_is_told_of_the_stop_and_nothing_follows(tmp_path):
    """The job under way can end early; what is queued, paused or submitted afterwards is left for the next start."""
    jobs, seen, begun = ThreadJobs(tmp_path), [], threading.Event()

    def works():
        begun.set()
        while not jobs.stopping():
            threading.Event().wait(0.01)
        seen.append("ended early")

    jobs.submit("works", works)
    jobs.submit("queued", lambda: seen.append("queued"))
    jobs.submit("paused", lambda: seen.append("paused"), after=PATIENCE)
    assert begun.wait(PATIENCE)
    jobs.close()
    jobs.submit("late", lambda: seen.append("late"))
    assert seen == ["ended early"]
    with pytest.raises(Unavailable):
        jobs.run(lambda: seen.append("alone"))


@pytest.mark.parametrize(
    ("error", "event"), [(StorageFull("the disk is full"), "job failed"), (ZeroDivisionError(), "job broke")]
)
def test_what_a_job_raises_is_logged(tmp_path, error, event):
    """And the next job runs all the same."""
    jobs, done = ThreadJobs(tmp_path), threading.Event()
    with capture_logs() as logs:
        jobs.submit("bad", raising(error))
        jobs.submit("good", done.set)
        assert done.wait(PATIENCE)
        jobs.close()
    assert [line["event"] for line in logs if line["job"] == "bad"] == [event]
