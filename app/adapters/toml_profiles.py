"""The user's own ranking profiles, from a TOML file."""

from __future__ import annotations

from pathlib import Path

from app.domain.errors import InvalidInput
from app.domain.own_profiles import own_profiles
from app.domain.profiles import Profile


def read_profiles(file: Path | None) -> list[Profile]:
    """The profiles in a file, none where there is no file; raises InvalidInput naming the file and the key."""
    if file is None:
        return []
    try:
        return own_profiles(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the file of ranking profiles {file} cannot be read: {error}") from error
    except InvalidInput as error:
        raise InvalidInput(f"the ranking profiles in {file}: {error}") from error
