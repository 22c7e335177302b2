"""Bringing a survey through an upload session: photographs one by one over a service that keeps being killed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from tests.crash.client import Answer, Broken, Client, Gone
from tests.crash.photographs import Photograph, sheet_of

_LANES = 4
_PAGE = 10_000


class Session:
    """Something to bring, as ``book.Bring`` is: each photograph that was acknowledged must be there ever after."""

    def __init__(self, photographs: Sequence[Photograph]) -> None:
        self.photographs = photographs
        self._place, self._whole = "", False
        self._kept: dict[str, str] = {}  # SHA-256 by path, of those that were answered with 201

    def post(self, client: Client) -> int | None:
        """Go on where the line broke; the import's id once all is sent and committed. Raises Gone, Broken."""
        if not self._place:
            begun = client.post("/uploads", {})
            if begun.busy:
                return None
            self._place = f"/uploads/{_taken(begun, 201)['upload_id']}"
        # Once all is there only the commit is left: it may have begun the import already.
        self._whole = self._whole or self._sent(client)
        if not self._whole:
            return None
        answer = client.post(f"{self._place}/commit", {})
        return None if answer.busy else int(_taken(answer, 202)["import_id"])

    def _sent(self, client: Client) -> bool:
        """Whether everything is there now."""
        stands = client.get(f"{self._place}?limit={_PAGE}")
        if stands.busy:
            return False
        listed = {one["path"]: one["sha256"] for one in _taken(stands, 200)["received"]}
        if lost := sorted(self._kept.items() - listed.items()):
            raise Broken(f"{len(lost)} photographs of {self._place} were acknowledged and are not there, as {lost[:3]}")
        waiting = [one for one in self.photographs if one.path not in listed]
        with ThreadPoolExecutor(_LANES) as lanes:
            if not all(lanes.map(lambda one: self._put(client, one), waiting)):
                return False
        answer = client.ask("PUT", f"{self._place}/sheet", sheet_of(self.photographs).encode())
        return not answer.busy and bool(_taken(answer, 201))

    def _put(self, client: Client, one: Photograph) -> bool:
        place = f"{self._place}/photographs/{quote(one.path)}?sha256={one.sha256}"
        try:
            answer = client.ask("PUT", place, one.content)
        except Gone:
            return False
        if answer.busy:
            return False
        _taken(answer, 201)
        self._kept[one.path] = one.sha256
        return True


def _taken(answer: Answer, status: int) -> dict[str, object]:
    if answer.status != status:
        raise Broken(f"an upload session answered {answer.status}: {answer.body}")
    return dict(answer.body)
