"""The file of the user's own profiles."""

import pytest

from app.adapters.toml_profiles import read_profiles
from app.domain.errors import InvalidInput
from app.domain.profiles import Profile, Spread


def test_a_file_of_profiles_is_read(tmp_path):
    """No file, no profiles."""
    file = tmp_path / "profiles.toml"
    file.write_text("[mine.spread]\n", encoding="utf-8")
    assert read_profiles(file) == [Profile("mine", (Spread(),))]
    assert read_profiles(None) == []


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    """Missing, no text, or no profile: the message has the file and, where there is one, the key."""
    file = tmp_path / "profiles.toml"
    with pytest.raises(InvalidInput, match=r"profiles\.toml cannot be read"):
        read_profiles(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match=r"profiles\.toml cannot be read"):
        read_profiles(file)
    file.write_text("[mine.spread]\nfar = 1\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"profiles\.toml: mine\.spread\.far: "):
        read_profiles(file)
