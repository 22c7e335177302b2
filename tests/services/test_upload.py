"""Upload sessions: what may come in when, and what becomes of abandoned ones."""

import pytest

from app.domain.errors import InvalidInput, UnknownUpload, UploadClosed
from app.domain.ingestion import ImportState
from app.services.upload import Upload, request_of, source_of
from tests.fakes import World, photo

SHEET = b"image_id,path,viewpoint,date,whale_id\n1,a/1.png,top,2019,Ana\n"


@pytest.fixture
def world() -> World:
    return World()


def send(upload: Upload, upload_id: str, path: str | None, content: bytes) -> None:
    receiver = upload.receive(upload_id, path)
    receiver.write(content)
    receiver.finish()


def filled(world: World) -> str:
    """A session with one photograph and its sheet."""
    upload = world.services.upload
    upload_id = upload.create().upload_id
    send(upload, upload_id, "a/1.png", photo(1))
    send(upload, upload_id, None, SHEET)
    return upload_id


def committed(world: World, upload_id: str) -> int:
    planning = world.services.planning
    return planning.begin(planning.plan(source_of(upload_id)), request_of(upload_id))


def test_a_session_is_imported_as_one(world):
    """What came in one by one is planned and worked off like any other sheet."""
    upload_id = filled(world)
    session = world.services.upload.session(upload_id)
    assert (session.photographs, session.sheet and session.sheet.size) == (1, len(SHEET))
    assert [one.path for one in world.services.upload.received(upload_id, 0, 9)] == ["a/1.png"]
    report = world.services.ingest.run(committed(world, upload_id))
    assert (report.state, report.total) == (ImportState.DONE, 1)


def test_committing_again_begins_nothing_new(world):
    """The catalogue holds one import of a session, however often it is asked for."""
    upload_id = filled(world)
    assert world.services.upload.begun(upload_id) is None
    first = committed(world, upload_id)
    assert committed(world, upload_id) == first == world.services.upload.begun(upload_id)


def test_a_session_whose_import_failed_can_be_committed_anew(world):
    """As long as what it brought is there; then, as at a running import, the answer is the import that it began."""
    upload, upload_id = world.services.upload, filled(world)
    first = committed(world, upload_id)
    assert upload.request(upload_id) is None
    world.catalogue.finish_import(first, ImportState.FAILED, "unexpected error")
    request, planning = upload.request(upload_id), world.services.planning
    assert request == upload.request(upload_id) != request_of(upload_id)
    second = planning.begin(planning.plan(source_of(upload_id)), request)
    assert first != second == upload.begun(upload_id)
    assert upload.request(upload_id) is None
    world.catalogue.finish_import(second, ImportState.FAILED, "the archive is gone")
    upload.remove(upload_id)
    assert upload.request(upload_id) is None
    with pytest.raises(UnknownUpload):
        upload.request("0" * 32)


@pytest.mark.parametrize("path", ["", "../a.png", "/etc/passwd", "a\\b.png", "a\x00b", "x" * 1001])
def test_a_path_that_no_sheet_could_name_is_refused(world, path):
    """By the very rule that the sheet's own paths are held against."""
    upload_id = filled(world)
    with pytest.raises(InvalidInput):
        world.services.upload.receive(upload_id, path)


def test_a_committed_session_is_closed(world):
    """Nothing is added to what an import reads; it cannot be forgotten while the import runs, but afterwards."""
    upload_id = filled(world)
    import_id = committed(world, upload_id)
    for verb in (
        lambda: world.services.upload.receive(upload_id, "b.png"),
        lambda: world.services.upload.remove(upload_id),
    ):
        with pytest.raises(UploadClosed):
            verb()
    world.services.ingest.run(import_id)
    world.services.upload.remove(upload_id)
    with pytest.raises(UnknownUpload):
        world.services.upload.session(upload_id)


def test_abandoned_sessions_are_forgotten_unless_their_import_runs(world):
    """The next session that begins clears away the ones that nothing came to any more."""
    running, abandoned = filled(world), filled(world)
    import_id = committed(world, running)
    world.sessions.abandoned = [running, abandoned]
    world.services.upload.create()
    assert running in world.sessions.held
    assert abandoned not in world.sessions.held
    world.services.ingest.run(import_id)
    world.services.upload.create()
    assert running not in world.sessions.held
