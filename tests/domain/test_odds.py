"""Odds: what a stored calibration says of one answer, and a record that survives its own JSON."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from app.domain.calibration_record import Source, from_json, purpose_of, to_json
from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput
from app.domain.odds import odds, percent
from app.domain.partition import NOBODY, VIEWPOINTS, Gallery
from app.domain.profiles import REVIEW
from app.domain.trials import Listed, ViewPair
from app.services.calibrate import calibrated
from tests.fakes_calibrations import made_trials

KINDS = {kind: made_trials(skill=3.0) for kind in (ViewPair.ANY, ViewPair.SAME)}
MADE = replace(
    calibrated(KINDS, purpose_of("a" * 64, REVIEW), Source.CATALOGUE, "catalogue version 7", 7),
    made=datetime(2026, 11, 1, tzinfo=UTC),
)


def gallery(individuals, viewpoints=None):
    count = len(individuals)
    seen = [VIEWPOINTS.index(v) for v in viewpoints or [Viewpoint.TOP] * count]
    columns = {name: np.arange(count) for name in Gallery.__dataclass_fields__}
    return Gallery(**columns | {"individual": np.array(individuals, np.int64), "viewpoint": np.array(seen, np.int64)})


def said(individuals, scores, viewpoints=None, listed=Listed.ANNOTATION, made=MADE):
    rows = gallery(individuals, viewpoints)
    found = np.arange(len(scores))
    return odds(made, listed, Viewpoint.TOP, rows, np.ones(len(rows), bool), found, np.array(scores, float))


def test_a_record_survives_its_json():
    """What is read is what was written, curve by curve and figure by figure."""
    assert from_json(to_json(MADE), 5) == replace(MADE, calibration_id=5)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "nonsense", to_json(MADE)[:-9], to_json(MADE).replace('"any"', '"some"')],
)
def test_a_damaged_record_is_refused(text):
    """Text that is no calibration is told, and never becomes half of one."""
    with pytest.raises(InvalidInput, match="calibration cannot be read"):
        from_json(text)


def test_a_curve_that_was_changed_is_refused():
    """Probabilities that no longer ascend are no probabilities."""
    curve = MADE.calibration.same[Listed.ANNOTATION][ViewPair.ANY]
    text = to_json(MADE).replace(repr(curve.values[0]), "0.999", 1)
    with pytest.raises(InvalidInput):
        from_json(text)


def test_the_error_of_a_kind_without_one_is_that_of_mixed_galleries():
    """As with the curves; None where neither was judged."""
    assert MADE.error_of(ViewPair.ACROSS, None) == MADE.error_of(ViewPair.ANY, None)
    assert MADE.error_of(ViewPair.SAME, Listed.ANNOTATION) is not None
    assert replace(MADE, judged=()).error_of(ViewPair.SAME, None) is None


def test_without_a_calibration_only_an_empty_gallery_says_something():
    """No probability at all, but that nobody is in a list of nobody."""
    assert said([1, 2], [0.9, 0.8], made=None).same is None
    assert said([1, 2], [0.9, 0.8], made=None).new is None
    assert said([], [], made=None).new == 1.0
    assert said([], []).new == 1.0


def test_a_better_list_has_better_odds():
    """A clear first candidate is likelier the animal, and a new animal less likely."""
    clear, vague = said([1, 2], [0.85, 0.6]), said([1, 2], [0.62, 0.6])
    assert clear.same[0] > vague.same[0]
    assert clear.new < vague.new
    assert clear.calibrated is MADE
    assert (clear.error_same, clear.error_new) == (
        MADE.error_of(ViewPair.SAME, Listed.ANNOTATION),
        MADE.error_of(ViewPair.SAME, None),
    )


def test_one_animal_filling_the_list_leads_by_what_is_seen():
    """The second individual is at most as good as the last row: the lead is not overstated, nor taken for none."""
    crowd = said([1, 1, 1, 2], [0.7, 0.69, 0.5])
    assert crowd.new == said([1, 2, 2, 2], [0.7, 0.5, 0.5]).new
    assert said([1], [0.7]).new > crowd.new


def test_an_annotation_without_a_name_stands_for_itself():
    """In the list as in the size of the gallery."""
    assert said([NOBODY, NOBODY, 3], [0.75, 0.6]).new == said([1, 2, 3], [0.75, 0.6]).new


def test_the_meter_speaks_of_galleries_like_this_one():
    """A gallery of one viewpoint has that pair's figures; a larger one than was measured has none."""
    assert [figure.kind for figure in said([1, 2], [0.9, 0.8]).meter] == [ViewPair.SAME] * 2
    mixed = said([1, 2], [0.9, 0.8], [Viewpoint.TOP, Viewpoint.LEFT], Listed.INDIVIDUAL)
    assert [(figure.kind, figure.individuals) for figure in mixed.meter] == [(ViewPair.ANY, 15)] * 2
    assert said(list(range(100)), [0.9, 0.8]).meter == ()


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0004, "< 1 %"), (0.01, "1 %"), (0.42, "42 %"), (0.99, "99 %"), (0.9999, "> 99 %"), (1.0, "100 %")],
)
def test_people_read_no_certainties(probability, text):
    """Only an empty gallery is certain."""
    assert percent(probability) == text
