"""Profiles: the names that a user may give, and the settings that a receipt keeps."""

import json

import pytest

from app.domain.errors import InvalidInput
from app.domain.profiles import MATCHING, PROFILES, profile_named


def test_a_profile_is_found_by_its_name():
    """Both profiles of the contest and of the reviewer exist, and each knows its own name."""
    assert {"contest", "review", "cosine"} <= PROFILES.keys()
    assert all(profile_named(name).name == name for name in PROFILES)


def test_an_unknown_profile_is_refused_by_name():
    """The error lists what there is."""
    with pytest.raises(InvalidInput, match=r"'best'.*contest"):
        profile_named("best")


def test_a_profile_that_reads_photographs_is_for_a_match_alone():
    """The refusal says why, and what there is instead."""
    assert profile_named("verified", MATCHING).name == "verified"
    with pytest.raises(InvalidInput, match=r"'verified' reads photographs.*review"):
        profile_named("verified")


@pytest.mark.parametrize("name", PROFILES)
def test_settings_survive_json(name):
    """A receipt read years later says the same."""
    settings = PROFILES[name].settings()
    assert json.loads(json.dumps(settings)) == settings
