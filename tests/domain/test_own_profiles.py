"""Profiles of the user's own: read as they were meant, or refused by the key that is wrong."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from app.domain.errors import InvalidInput
from app.domain.own_profiles import STAGES, own_profiles, profile_of
from app.domain.profiles import (
    BOUNDS,
    BUILT_IN,
    MATCHING,
    PROFILES,
    Bridge,
    Expand,
    Fold,
    Profile,
    Spread,
    Verify,
    Vouch,
    profile_named,
    use_own,
)

OWN = """
[far]
expand.neighbours = 5
vouch = { weights = [0.5, 0.5, 0], power = 3 }
fold = {}

[bridge-2.bridge]
threshold = 0.6

[slow.spread]
[slow.verify]
shortlist = 40
whole = [-6, 8]

[plain]
"""


@pytest.fixture
def own():
    """The profiles of OWN, known until the test is over."""
    use_own(own_profiles(OWN))
    yield
    use_own([])


def test_stages_run_in_the_order_of_the_file():
    """What is not set has the default; whole numbers will do for any."""
    assert own_profiles(OWN) == [
        Profile("far", (Expand(neighbours=5), Vouch((0.5, 0.5, 0.0), 3.0), Fold())),
        Profile("bridge-2", (Bridge(threshold=0.6),)),
        Profile("slow", (Spread(), Verify(shortlist=40, whole=(-6.0, 8.0)))),
        Profile("plain"),
    ]


def test_own_profiles_stand_beside_the_built_in_ones(own):
    """They are found by name; one that reads photographs is for a match alone."""
    assert list(MATCHING) == [*BUILT_IN, "far", "bridge-2", "slow", "plain"]
    assert profile_named("far").stages[0] == Expand(neighbours=5)
    assert "slow" not in PROFILES
    with pytest.raises(InvalidInput, match="'slow'"):
        profile_named("slow")
    use_own([])
    assert list(MATCHING) == list(BUILT_IN)
    assert PROFILES.keys() == BUILT_IN.keys() - {"verified"}


@pytest.mark.parametrize("profile", [*BUILT_IN.values(), *own_profiles(OWN)], ids=lambda one: one.name)
def test_a_profile_is_rebuilt_from_its_settings(profile):
    """What a receipt or a stored evaluation holds is enough to rank the same way again."""
    assert profile_of(profile.name, profile.settings()) == profile


def test_every_default_lies_within_its_bounds():
    """A stage with all its settings written out is accepted."""
    every = Profile("every", tuple(kind() for kind in STAGES.values()))
    assert profile_of("every", every.settings()) == every


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[far", "no TOML"),
        ("[far]\n[far]", "no TOML"),
        ("[Far]", "'Far' is no name for a profile"),
        ("[review.fold]", "'review' is the name of a built-in profile"),
        ("far = 3", "far must be a table, not 3"),
        ("[far]\nfold = true", "far.fold must be a table, not True"),
        ("[far.folds]", "far.folds: there is no such stage; there are centre, augment, expand"),
        ("[far.expand]\nneighbors = 5", "far.expand.neighbors: there is no such setting; there are neighbours, power"),
        ("[far.fold]\nkeep = 5", "far.fold.keep: there is no such setting; this stage has none"),
        ("[far.expand]\nneighbours = 0", "far.expand.neighbours must be a whole number between 1 and 100, not 0"),
        ("[far.expand]\nneighbours = 2.5", "far.expand.neighbours must be a whole number"),
        ("[far.expand]\nneighbours = true", "far.expand.neighbours must be a whole number"),
        ("[far.bridge]\nthreshold = 1", "far.bridge.threshold must be a number between 0 and 0.99, not 1"),
        ("[far.bridge]\nweight = nan", "far.bridge.weight must be a number"),
        ("[far.bridge]\nweight = '1'", "far.bridge.weight must be a number between 0 and 1, not '1'"),
        ("[far.vouch]\nweights = [1, 1]", "far.vouch.weights must be a list of 3 numbers"),
        ("[far.vouch]\nweights = 1", "far.vouch.weights must be a list of 3 numbers, not 1"),
        ("[far.vouch]\nweights = [1, 1, -1]", "far.vouch.weights must be a number between 0 and 1, not -1"),
        ("[far.vouch]\nweights = [0, 0, 0]", "far.vouch: weights may not all be 0"),
    ],
)
def test_what_is_no_profile_is_refused_by_its_key(text, told):
    """The message names the key, what it holds and what it may hold."""
    with pytest.raises(InvalidInput) as refused:
        own_profiles(text)
    assert told in str(refused.value)


def test_the_documented_example_is_a_file_of_profiles():
    """It can be copied as it stands, and the table has every setting with its bounds."""
    text = (Path(__file__).parents[2] / "docs" / "ranking.md").read_text("utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [one.name for one in own_profiles(example)] == ["farther", "voucher"]
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*) \|$", text, re.MULTILINE))
    for name, kind in STAGES.items():
        for setting in fields(kind):
            least, most = setting.metadata[BOUNDS]
            default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
            assert f"`{setting.name}` {default}" in rows[name]
            assert f"{least} to {most}" in rows[name]
