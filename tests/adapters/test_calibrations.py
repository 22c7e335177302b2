"""Calibrations in both databases, in memory, and beside a release's manifest."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from app.adapters.json_calibrations import NAME, JsonCalibrations, write_calibrations
from app.adapters.sql_catalogue import SqlCatalogue
from app.domain.calibration_record import Source, purpose_of
from app.domain.errors import UnknownCalibration
from app.domain.profiles import CONTEST, REVIEW
from app.domain.trials import ViewPair
from app.services.calibrate import calibrated
from tests.databases import postgres_catalogue, sqlite_catalogue
from tests.fakes_calibrations import FakeCalibrations, made_trials

PURPOSE = purpose_of("a" * 64, REVIEW)
MADE = replace(
    calibrated({ViewPair.ANY: made_trials()}, PURPOSE, Source.CATALOGUE, "catalogue version 7", 7),
    made=datetime(2026, 11, 1, 12, tzinfo=UTC),
)


@pytest.fixture(params=["fake", "sqlite", "postgres"])
def calibrations(request, tmp_path):
    """An empty store of every kind."""
    if request.param == "fake":
        yield FakeCalibrations()
    elif request.param == "sqlite":
        yield from _opened(sqlite_catalogue(tmp_path))
    else:
        with postgres_catalogue() as url:
            yield from _opened(url)


def _opened(url):
    catalogue = SqlCatalogue(url)
    yield catalogue.calibrations
    catalogue.close()


def test_the_newest_of_a_purpose_is_found(calibrations):
    """Each gets an id of its own; a later one takes its place, one for another purpose does not."""
    assert calibrations.newest(PURPOSE) is None
    first = calibrations.add(MADE)
    assert calibrations.newest(PURPOSE) == first
    later = calibrations.add(replace(MADE, fitted_on="catalogue version 8", catalogue_version=8))
    calibrations.add(replace(MADE, purpose=purpose_of("b" * 64, REVIEW)))
    calibrations.add(replace(MADE, purpose=purpose_of("a" * 64, CONTEST)))
    assert later.calibration_id > first.calibration_id > 0
    assert calibrations.newest(PURPOSE) == later
    assert calibrations.newest(replace(PURPOSE, profile_sha256="0" * 64)) is None


def test_each_can_be_looked_up_and_all_are_listed(calibrations):
    """Newest first, whatever their purpose; an id that was never given, however large, is unknown."""
    assert calibrations.listed(10) == []
    made = [calibrations.add(one) for one in (MADE, replace(MADE, purpose=purpose_of("b" * 64, CONTEST)), MADE)]
    assert calibrations.listed(10) == made[::-1]
    assert calibrations.listed(1, 1) == [made[1]]
    assert calibrations.get(made[1].calibration_id) == made[1]
    for unknown in (0, made[-1].calibration_id + 1, 2**63 - 1):
        with pytest.raises(UnknownCalibration):
            calibrations.get(unknown)


def test_a_calibration_outlives_its_process(tmp_path):
    """What one process stored another reads at its next question, also over one that it had read before."""
    url = sqlite_catalogue(tmp_path)
    writer, reader = SqlCatalogue(url), SqlCatalogue(url)
    stored = writer.calibrations.add(MADE)
    assert reader.calibrations.newest(PURPOSE) == stored
    later = writer.calibrations.add(MADE)
    assert reader.calibrations.newest(PURPOSE) == later != stored
    writer.close()
    reader.close()


def test_a_calibration_is_read_once(tmp_path):
    """Asked again, its text is not read again, and only the eight read last are kept."""
    catalogue = SqlCatalogue(sqlite_catalogue(tmp_path))
    calibrations = catalogue.calibrations
    calibrations.add(MADE)
    assert calibrations.newest(PURPOSE) is calibrations.newest(PURPOSE)
    first = calibrations.newest(PURPOSE)
    for letter in "bcdefghi":
        other = purpose_of(letter * 64, REVIEW)
        calibrations.add(replace(MADE, purpose=other))
        assert calibrations.newest(other).purpose == other
    again = calibrations.newest(PURPOSE)
    assert again == first
    assert again is not first
    catalogue.close()


def test_a_release_brings_its_calibration(tmp_path):
    """Without a meter: how far to look is each catalogue's own."""
    write_calibrations(tmp_path, [MADE])
    held = JsonCalibrations(tmp_path)
    assert held.newest(PURPOSE) == replace(MADE, meter=())
    assert held.newest(purpose_of("a" * 64, CONTEST)) is None


def test_a_release_may_bring_none(tmp_path):
    """No file, no calibration, no complaint."""
    with capture_logs() as logs:
        assert JsonCalibrations(tmp_path).newest(PURPOSE) is None
    assert logs == []


def test_a_damaged_file_is_told_and_not_used(tmp_path):
    """One changed digit, another form or no text at all: no calibration rather than a wrong one, and a warning."""
    file = write_calibrations(tmp_path, [MADE])
    text = file.read_text("utf-8")
    content = json.loads(text)
    curve = content["calibrations"][0]["calibration"]["same"]["annotation"]["any"]["values"]
    changed = text.replace(json.dumps(curve[3]), json.dumps(curve[3] + 1e-6), 1)
    assert changed != text
    for damaged in (changed, "{}", "[]", "nonsense", "", text[:-40]):
        (tmp_path / NAME).write_text(damaged, encoding="utf-8")
        with capture_logs() as logs:
            assert JsonCalibrations(tmp_path).newest(PURPOSE) is None
        assert [log["log_level"] for log in logs] == ["warning"]
