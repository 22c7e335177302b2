"""The same figures for parts of the queries."""

from app.domain.catalogue import Viewpoint
from app.domain.outcomes import Answered, Outcome, right
from app.domain.slices import Facts, Known, slices

FACTS = {
    "q1": Facts(Viewpoint.TOP, 2018, 100),
    "q2": Facts(Viewpoint.LEFT, 2019, 300),
    "q3": Facts(Viewpoint.TOP, 0, 5000),
    "a": Facts(Viewpoint.TOP, 2017, 100),
    "b": Facts(Viewpoint.TOP, 2019, 100),
    "c": Facts(Viewpoint.RIGHT, 2016, 100),
}
TRUTH = {
    "s-1": frozenset("ab"),
    "s-2": frozenset("c"),
    "s-3": frozenset({f"n{n}" for n in range(30)}),
    "s-4": frozenset({"b", *(f"n{n}" for n in range(11))}),
    "s-5": frozenset({"b", *(f"n{n}" for n in range(4))}),
}
FACTS |= {f"n{n}": Facts(Viewpoint.TOP, 2018, 100) for n in range(30)}


def outcome(number: int, image: str, precision: float) -> Outcome:
    return Outcome("s", f"s-{number}", image, 0.5, Answered(1, precision, 1), None)


def test_queries_are_cut_four_ways():
    """By viewpoints, years to the nearest match, image size and images of the individual, in reading order."""
    found = [
        outcome(1, "q1", 1.0),
        outcome(2, "q2", 0.5),
        outcome(3, "q3", 0.25),
        outcome(4, "b", 0.0),
        outcome(5, "q1", 0.0),
        Outcome("s", "s-6", "q1", 0.5, None, None),
    ]
    cut = slices(found, right, Known(FACTS, TRUTH, {}))
    assert [(one.by, one.name, one.summary.queries, one.summary.map20) for one in cut] == [
        ("viewpoints", "left against right", 1, 0.5),
        ("viewpoints", "top against top", 4, 0.3125),
        ("year gap", "not known", 1, 0.25),
        ("year gap", "same year", 2, 0.0),
        ("year gap", "1 year", 1, 1.0),
        ("year gap", "3 years", 1, 0.5),
        ("image size", "up to 128 px", 3, 1 / 3),
        ("image size", "up to 512 px", 1, 0.5),
        ("image size", "1025 px and more", 1, 0.25),
        ("images of the individual", "1 image", 1, 0.5),
        ("images of the individual", "2 to 3 images", 1, 1.0),
        ("images of the individual", "4 to 9 images", 1, 0.0),
        ("images of the individual", "10 to 19 images", 1, 0.0),
        ("images of the individual", "20 or more images", 1, 0.25),
    ]
