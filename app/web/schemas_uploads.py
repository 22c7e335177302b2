"""The shapes of answers about upload sessions."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.web.schemas import Answer


class ReceivedAnswer(Answer):
    """What was received whole and lies on disk."""

    path: str = Field(description="Its path in the sheet; empty for the sheet itself.")
    sha256: str
    size: int = Field(description="In bytes.")


class UploadAnswer(Answer):
    """Where an upload session stands."""

    upload_id: str
    created: datetime
    expires: datetime = Field(description="When it is forgotten unless something comes in before.")
    photographs: int = Field(description="How many photographs it holds.")
    size: int = Field(description="Bytes of all that it holds.")
    sheet: ReceivedAnswer | None
    import_id: int | None = Field(description="The import that it was committed to.")
    received: list[ReceivedAnswer] = Field(description="A page of its photographs, in the order in which they came.")
    next: str | None = Field(description="Address of the next page, null on the last one.")
