"""Printed tables of the documents, and how settings are chosen on some animals and measured on others."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.chosen import SPLITS, halved, halves
from benchmarks.learned import Question, fit, pooled
from benchmarks.pages import Page, replaced, table
from benchmarks.ranking import PARTS, STAGES

DOCS = Path(__file__).parents[1] / "docs"
MARKS = re.compile(r"<!-- table ([\w ]+?)(: .*?)? -->(.*?)<!-- end \1 -->", re.DOTALL)


def test_a_table_takes_the_place_of_the_one_between_its_marks():
    """What stands around it stays; a document without the mark, or with two, is refused."""
    page = "before\n<!-- table one: then -->\nold\n<!-- end one -->\n<!-- table one more -->\n<!-- end one more -->\n"
    written = replaced(page, "one", table(("a", "b"), [("x", 0.5)]), "now")
    assert written.startswith("before\n<!-- table one: now -->\n\n| a | b |\n| --- | --- |\n| x | 0.500 |\n\n<!-- end")
    assert "<!-- table one more -->" in written
    assert replaced(written, "one", table(("a", "b"), [("x", 0.5)]), "now") == written
    for broken in ("nothing", written + written):
        with pytest.raises(LookupError):
            replaced(broken, "one", "", "now")


def test_make_tables_writes_every_marked_table_and_no_other():
    """The parts that the Makefile asks for are those that the document has marks for."""
    recipe = (DOCS.parent / "Makefile").read_text("utf-8").replace("\\\n", " ")
    (line,) = (one for one in recipe.splitlines() if "benchmarks.ranking" in one)
    assert line.split("--write")[1].split()[0] == "docs/ranking.md"
    written = {name for part in line.split("--parts")[1].split() for name in PARTS[part]}
    assert written == {name for name, _, _ in MARKS.findall((DOCS / "ranking.md").read_text("utf-8"))}


def test_printed_stages_are_those_that_are_measured():
    """Row by row, in the order in which the tables would be printed again."""
    found = {name: body for name, _, body in MARKS.findall((DOCS / "ranking.md").read_text("utf-8"))}
    for name in PARTS["stages"]:
        rows = [line.split(" | ")[0].removeprefix("| ") for line in found[name].strip().splitlines()[2:]]
        assert [row for row in rows if row != "encounters in the gallery"] == [one.name for one in STAGES]


def test_a_document_without_a_table_is_refused_before_anything_is_measured(tmp_path):
    """What has marks is expected in silence, and without a document there is nothing to lack."""
    document = tmp_path / "page.md"
    document.write_text("<!-- table one: then -->\n<!-- end one -->\n", encoding="utf-8")
    Page(document, "now").expect(["one"])
    Page(None, "now").expect(["marks"])
    with pytest.raises(LookupError, match="marks"):
        Page(document, "now").expect(["one", "marks"])


@pytest.mark.parametrize("page", ["ranking.md", "probabilities.md"])
def test_no_printed_table_is_empty(page):
    """Each says what it was printed with, and has rows."""
    text = (DOCS / page).read_text("utf-8")
    found = MARKS.findall(text)
    assert len(found) == text.count("<!-- table ") == text.count("<!-- end ") > 3
    for name, made, body in found:
        assert "benchmarks/" in made, name
        assert body.count("\n|") > 2, name


def test_halves_are_of_whole_animals():
    """Each division is used both ways, and no animal asks on both sides."""
    whales = np.repeat(np.arange(7), 3)
    found = list(halves(whales))
    assert len(found) == 2 * SPLITS
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert (one == ~other).all()
        assert not set(whales[one]) & set(whales[other])
        assert len(set(whales[one])) in {3, 4}


def test_a_setting_that_suits_one_animal_flatters():
    """Chosen on the same animals the lucky setting wins, chosen on others it does not."""
    whales = np.arange(8)
    lucky = np.where(np.arange(8) == 0, 8.0, 0.0)
    same, others, picked = halved(np.stack([np.full(8, 0.5), lucky]), whales)
    assert same.mean() > others.mean()
    assert set(picked.tolist()) == {0, 1}


def test_learned_weights_find_what_tells_the_right_animal():
    """The mean of the best five tells here, the best alone does not."""
    drawn, questions = np.random.default_rng(0), []
    for whale in range(40):
        features = drawn.standard_normal((6, 5))
        features[whale % 6, 3] += 4
        questions.append(Question(features, whale % 6, whale))
    weights = fit(questions)
    assert weights.argmax() == 3
    assert np.mean([one.place(weights) == 0 for one in questions]) > 0.8


def test_the_best_of_each_animal_are_averaged():
    """One photograph is the mean of its best two, too; how many there are is told as a logarithm."""
    animals, features = pooled(np.array([4, 2, 4, 4]), np.array([0.9, 0.8, 0.7, 0.2]))
    assert animals.tolist() == [2, 4]
    np.testing.assert_allclose(features[0], [0.8, 0.8, 0.8, 0.8, 0.0])
    np.testing.assert_allclose(features[1], [0.9, 0.8, 0.6, 0.6, np.log(3)])
