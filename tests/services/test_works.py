"""Works: imports, re-embedding and rebuilds in steps, and what ends with them."""

import pytest

from app.domain.errors import BadArchive, CatalogueUnavailable, Conflict, StorageFull, UnknownJob
from app.domain.ingestion import ImportState, RowState
from app.domain.jobs import Job, JobKind, JobState, job_id_of
from app.services.evaluate_work import Wanted
from app.services.works import import_of
from tests.fakes import FakeSheet, World, one_space, photo, sighting


def uploaded(world: World, whales: int = 1) -> int:
    """An upload of new whales that was begun as an import; returns its id."""
    rows = [sighting(50 + n, f"whale{50 + n}") for n in range(whales)]
    world.opened["upload:1"] = FakeSheet(rows, {row.path: photo(row.row) for row in rows})
    return world.begin("upload:1")


@pytest.fixture
def world() -> World:
    made = World()
    made.survey(whales=2)
    return made


def test_an_import_is_one_job_however_often_it_is_asked_for(world):
    """Its id follows from the import; when it is done its upload is forgotten."""
    control, import_id = world.services.control, uploaded(world)
    job = control.begin_import(import_id)
    assert (job.state, job.kind, job.done, job.total) == (JobState.DONE, JobKind.IMPORT, 1, 1)
    assert control.begin_import(import_id) == job
    assert control.job_of(world.services.ingest.report(import_id)) == job
    assert control.job_of(world.services.ingest.report(1)) is None
    assert "upload:1" not in world.opened


def test_an_import_tells_how_far_it_is_within_a_step(world, monkeypatch):
    """All rows are known at once, and each chunk that is stored is told before the step has ended."""
    monkeypatch.setattr("app.services.chunks.CHUNK", 1)
    monkeypatch.setattr("app.services.chunks.BATCH", 1)
    job = world.services.control.begin_import(uploaded(world, whales=3))
    assert world.jobs.told == [(job.job_id, done, 3) for done in range(4)]


def test_a_full_disk_keeps_the_upload_for_the_next_step(world, monkeypatch):
    """The job waits; when there is room it goes on to its end."""
    import_id = uploaded(world)

    def full(_: object) -> list[str]:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(world.blobs, "put_all", full)
    job = world.services.control.begin_import(import_id)
    assert job.state is JobState.WAITING_DISK
    assert "upload:1" in world.opened
    monkeypatch.undo()
    world.jobs.release()
    assert world.jobs.job(job.job_id).state is JobState.DONE
    assert "upload:1" not in world.opened


@pytest.mark.parametrize(("error", "kept"), [(BadArchive("it is damaged"), False), (ZeroDivisionError(), True)])
def test_only_an_archive_at_fault_is_thrown_away(world, monkeypatch, error, kept):
    """A bug of ours costs nobody an archive; in both cases import and job have failed."""
    import_id = uploaded(world)

    def failing(*_):
        raise error

    monkeypatch.setattr(type(world.sheets), "open", failing)
    assert world.services.control.begin_import(import_id).state is JobState.FAILED
    assert world.services.ingest.report(import_id).state is ImportState.FAILED
    assert ("upload:1" in world.opened) == kept


def test_another_ensemble_costs_nobody_an_archive(world):
    """That is the operator's doing: the job waits and says what to do, and goes on once the ensembles are the same."""
    import_id, own = uploaded(world), world.embedder.loaded
    world.embedder.loaded = one_space(size=5)
    job = world.services.control.begin_import(import_id)
    assert (job.state, "resight reindex" in (job.reason or "")) == (JobState.WAITING, True)
    assert "upload:1" in world.opened
    world.embedder.loaded = own
    world.jobs.release()
    assert world.services.ingest.report(import_id).rows == {RowState.INDEXED: 1}


@pytest.mark.parametrize(("state", "kept"), [(JobState.WAITING, False), (JobState.RUNNING, True)])
def test_cancelling_its_job_ends_an_import(world, state, kept):
    """What it brought is forgotten at once, or by the step that is under way with it."""
    import_id = uploaded(world)
    world.jobs.held = True
    job = world.services.control.begin_import(import_id)
    world.jobs.set(job.job_id, state=state)
    assert world.services.control.cancel(job.job_id).state is JobState.CANCELLED
    report = world.services.ingest.report(import_id)
    assert (report.state, report.reason) == (ImportState.CANCELLED, "cancelled on request")
    assert ("upload:1" in world.opened) == kept
    assert world.jobs.works[JobKind.IMPORT].step(job.arguments, 0).finished
    assert "upload:1" not in world.opened


def test_a_cancel_that_the_catalogue_did_not_hear_of_can_be_said_again(world, monkeypatch):
    """The second time ends the import as well, and the third harms nothing; a job that is done cannot be cancelled."""
    import_id = uploaded(world)
    world.jobs.held = True
    job = world.services.control.begin_import(import_id)

    def away(*_):
        raise CatalogueUnavailable("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.catalogue, "finish_import", away)
        with pytest.raises(CatalogueUnavailable):
            world.services.control.cancel(job.job_id)
    assert world.services.ingest.report(import_id).state is ImportState.RUNNING
    for _ in range(2):
        assert world.services.control.cancel(job.job_id).state is JobState.CANCELLED
        assert world.services.ingest.report(import_id).state is ImportState.CANCELLED
        assert "upload:1" not in world.opened
    world.jobs.set(job.job_id, state=JobState.DONE)
    with pytest.raises(Conflict):
        world.services.control.cancel(job.job_id)


def test_what_is_done_cannot_be_cancelled(world):
    """Neither the import nor its job, which may have a moment to go after the catalogue was told."""
    import_id = uploaded(world)
    world.jobs.held = True
    job = world.services.control.begin_import(import_id)
    world.jobs.set(job.job_id, state=JobState.RUNNING)
    world.services.ingest.run(import_id)
    with pytest.raises(Conflict):
        world.services.control.cancel(job.job_id)
    assert world.jobs.job(job.job_id).state is JobState.RUNNING
    assert world.services.ingest.report(import_id).state is ImportState.DONE


def test_cancelling_another_job_leaves_the_catalogue_alone(world):
    """A job of another kind, and one whose import is not there any more."""
    world.jobs.held = True
    other = world.jobs.enqueue(JobKind.EVALUATE, {})
    strange = world.jobs.enqueue(JobKind.IMPORT, {"import_id": 99})
    for job in (other, strange):
        assert world.services.control.cancel(job.job_id).state is JobState.CANCELLED
    with pytest.raises(UnknownJob):
        world.services.control.cancel("import-0")


def test_after_a_start_every_import_has_its_job_or_its_end(world):
    """One that was cut off goes on, whoever is at work; one whose job had ended before the catalogue was told ends."""
    import_id = uploaded(world)
    world.jobs.taken = True
    world.services.control.take_up(world.services.evaluate)
    world.jobs.taken = False
    assert world.services.ingest.report(import_id).rows == {RowState.INDEXED: 1}
    cut = world.begin("folder:survey")
    world.jobs.held = True
    world.jobs.cancel(world.services.control.begin_import(cut).job_id)
    world.services.control.recover()
    assert world.services.ingest.report(cut).state is ImportState.CANCELLED
    assert world.services.ingest.unfinished() == []


def test_what_a_command_works_off_is_left_to_it(world):
    """Its import gets a job once nobody is at work any more: then it was killed."""
    import_id = world.begin("folder:survey")
    world.jobs.taken = True
    world.services.control.recover()
    assert world.services.control.job_of(world.services.ingest.report(import_id)) is None
    world.jobs.taken = False
    world.services.control.recover()
    assert world.services.ingest.report(import_id).state is ImportState.DONE


def test_while_work_is_under_way_an_upload_is_not_thrown_away(world):
    """The import ends as its job did; a step may still read from what it brought."""
    import_id = uploaded(world)
    world.jobs.held = True
    world.jobs.cancel(world.services.control.begin_import(import_id).job_id)
    world.jobs.taken = True
    world.services.control.recover()
    assert world.services.ingest.report(import_id).state is ImportState.CANCELLED
    assert "upload:1" in world.opened


def test_an_evaluation_without_a_job_gets_it_at_the_start(world):
    """One that died before it was enqueued; those that have a job, or have ended, are left alone."""
    services = world.services
    pack = services.evaluate.built().pack
    ended, lost = (services.evaluate.begin(pack, Wanted()) for _ in range(2))
    services.evaluate.run(ended)
    for _ in range(2):
        services.control.take_up(services.evaluate)
        jobs = world.jobs.jobs(kinds=[JobKind.EVALUATE])
        assert [dict(job.arguments) for job in jobs] == [{"evaluation_id": lost}]
        assert services.evaluate.standing(lost).job_id == jobs[0].job_id


def embedded(world: World) -> Job:
    return world.jobs.enqueue(JobKind.REEMBED, {})


def test_another_ensemble_is_embedded_in_steps(world, monkeypatch):
    """Each step says how many of all annotations have a vector; the last one swaps in the index."""
    monkeypatch.setattr("app.services.reindex._BATCH", 2)
    monkeypatch.setattr("app.services.works._BATCHES", 2)
    world.embedder.loaded = one_space(size=5)
    work = (world.services, world.jobs.works[JobKind.REEMBED])[1]
    first = work.step({}, 0)
    assert (first.done, first.total, first.finished) == (4, 6, False)
    last = work.step({}, first.done)
    assert (last.done, last.total, last.finished) == (6, 6, True)
    assert last.result == {"generation": 2, "catalogue_version": world.catalogue.version(), "annotations": 6}
    assert embedded(world).state is JobState.DONE


def test_a_stop_ends_a_step_of_embedding_early(world, monkeypatch):
    """After the batch in hand."""
    monkeypatch.setattr("app.services.reindex._BATCH", 2)
    world.embedder.loaded = one_space(size=5)
    work = (world.services, world.jobs.works[JobKind.REEMBED])[1]
    world.jobs.closed = True
    assert work.step({}, 0).done == 2


def test_an_index_is_rebuilt_in_one_step(world):
    """From the vectors that are stored."""
    _ = world.services
    job = world.jobs.enqueue(JobKind.REBUILD, {})
    assert (job.state, job.done, job.result and job.result["annotations"]) == (JobState.DONE, 6, 6)


def test_the_arguments_of_an_import_name_it_by_number():
    """Anything else was not written by us."""
    with pytest.raises(TypeError):
        import_of({"import_id": "1"})


def test_ids_of_jobs_are_readable_or_hashed():
    """A key of plain letters is a part of the id; any other is hashed, so that an id can be a part of an address."""
    assert job_id_of(JobKind.IMPORT, "7-x") == "import-7-x"
    odd = job_id_of(JobKind.IMPORT, "../7")
    assert odd.startswith("import-")
    assert "/" not in odd
    assert odd != job_id_of(JobKind.IMPORT, "../8")
