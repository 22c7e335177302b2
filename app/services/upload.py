"""Upload: photographs and a sheet come in one by one, over days if need be, and are imported together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from app.domain.cells import parse_path
from app.domain.errors import InvalidInput, UnknownUpload, UploadClosed
from app.domain.ingestion import ImportState, RequestKey
from app.domain.ports import Catalogue
from app.domain.ports_import import ImportRows
from app.domain.ports_uploads import Receiver, UploadSessions
from app.domain.uploads import SHEET_PATH, Received, UploadSession


@dataclass(frozen=True, slots=True)
class Upload:
    """The use case; safe to be called from many threads."""

    sessions: UploadSessions
    catalogue: Catalogue
    rows: ImportRows

    def create(self) -> UploadSession:
        """Begin a session, after forgetting those that were abandoned; raises StorageFull, Unavailable."""
        for upload_id in self.sessions.expired():
            if not self._running(upload_id):
                self.sessions.remove(upload_id)
        return self.sessions.create()

    def session(self, upload_id: str) -> UploadSession:
        """Where a session stands; raises UnknownUpload."""
        return self.sessions.session(upload_id)

    def received(self, upload_id: str, after: int, limit: int) -> list[Received]:
        """What a session holds, those behind the first ``after``; raises UnknownUpload."""
        return self.sessions.received(upload_id, after, limit)

    def receive(
        self, upload_id: str, path: str | None, expected: str | None = None, size: int | None = None
    ) -> Receiver:
        """Begin to take in a photograph, or the sheet when ``path`` is None.

        Raises InvalidInput for a path that no sheet could name, UploadClosed once the session was committed,
        UnknownUpload, TooLarge, StorageFull.
        """
        try:
            name = SHEET_PATH if path is None else parse_path(path)
        except ValueError as error:
            raise InvalidInput(str(error)) from error
        if self.begun(upload_id) is not None:
            raise UploadClosed("this upload session was committed: nothing can be added to it")
        return self.sessions.receive(upload_id, name, expected, size)

    def remove(self, upload_id: str) -> None:
        """Forget a session; raises UploadClosed while its import runs, UnknownUpload."""
        if self._running(upload_id):
            raise UploadClosed("the import of this upload session is running")
        self.sessions.remove(upload_id)

    def begun(self, upload_id: str) -> int | None:
        """The import that a session was last committed to, if any."""
        return self._last(upload_id)[0]

    def request(self, upload_id: str) -> RequestKey | None:
        """The key under which a session can be committed now; None where the import that it began stands.

        One whose import has failed can be committed anew, as long as what it brought is still there. Raises
        UnknownUpload for a session that was neither committed nor is there.
        """
        begun, commits = self._last(upload_id)
        if begun is None or self.catalogue.import_report(begun).state is ImportState.FAILED:
            try:
                self.sessions.session(upload_id)
            except UnknownUpload:
                if begun is None:
                    raise
            else:
                return request_of(upload_id, commits + 1)
        return None

    def _last(self, upload_id: str) -> tuple[int | None, int]:
        """The import of the last commit, and how many there were."""
        last, commits = None, 0
        while found := self.rows.requested(request_of(upload_id, commits + 1)):
            last, commits = found, commits + 1
        return last, commits

    def _running(self, upload_id: str) -> bool:
        import_id = self.begun(upload_id)
        return import_id is not None and self.catalogue.import_report(import_id).state is ImportState.RUNNING


def source_of(upload_id: str) -> str:
    """The name under which an import remembers a session."""
    return f"session:{upload_id}"


def request_of(upload_id: str, commit: int = 1) -> RequestKey:
    """What makes committing a session twice harmless: the catalogue holds one import of this key.

    No client can send it as a key of its own, since it holds a space. ``commit`` counts those that began an import.
    """
    name = f"session {upload_id}" if commit == 1 else f"session {upload_id} {commit}"
    return RequestKey(name, hashlib.sha256(upload_id.encode()).hexdigest())
