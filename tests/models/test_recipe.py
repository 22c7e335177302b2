"""Recipes are read strictly, and every one that is delivered can be built."""

import sys
import tomllib
from types import ModuleType

import pytest
from typer.testing import CliRunner

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput
from models.cli import app
from models.recipe import FOLDER, AugmentRecipe, InputRecipe, find_recipe, parse_recipe

TEXT = 'name = "a"\n[net]\nbackbone = "efficientnet-lite0"\n[input]\nstages = [[64, 32]]\n'
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
WINNERS = [name for name in NAMES if name.startswith("place")]


@pytest.mark.parametrize("name", NAMES)
def test_a_delivered_recipe_is_named_like_its_file(name):
    """Every recipe in the folder is sound and bears the name of its file."""
    assert find_recipe(name).name == name


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TEXT + "[loss]\nmargins = 0.3\n", "loss.margins"),
        (TEXT + "[augment]\nflip = 2.0\n", "augment.flip"),
        (TEXT.replace('"a"', '"A b"'), "name"),
        (TEXT.replace("[[64, 32]]", "[]"), "input.stages"),
        ("[net]\n", "name"),
        ("viewpoints = []\n" + TEXT, "viewpoints"),
        ('viewpoints = ["above"]\n' + TEXT, "viewpoints.0"),
        ('viewpoints = ["top", "top"]\n' + TEXT, "viewpoints: one is named twice"),
        (TEXT + '[sampler]\nviewpoints = ["top"]\n', "viewpoints: 'left' is served"),
        (TEXT + '[loss]\npartners = "sum"\n', "loss.partners"),
        (TEXT + '[loss]\nkind = "softmax"\noccasion = 3.0\n', "loss.occasion"),
        (TEXT + "[folds]\ncount = 3\nfold = 3\n", "folds.fold"),
        (TEXT + '[augment]\nmirror = "another"\nflip = 0.0\n', "augment.mirror"),
    ],
)
def test_a_fault_is_named(text, place):
    """An unknown key, a number out of bounds or a missing one is refused with its place."""
    with pytest.raises(InvalidInput, match=place.replace(".", r"\.")):
        parse_recipe(text)


@pytest.mark.parametrize("name", WINNERS)
def test_a_winner_s_recipe_takes_nothing_from_the_house_unsaid(name):
    """A winner's file sets every augmentation itself, has no running average, and lists where it differs."""
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["augment"].keys() == AugmentRecipe.model_fields.keys()
    assert find_recipe(name).optimiser.average == 0.0
    assert (
        "# Differs from the original in:\n#   backbone" in text or "# Differs from the original in:\n#   flips" in text
    )


def test_what_a_member_serves_is_what_it_saw():
    """First place's top members serve and see top views alone, its cross-view members serve every side."""
    for name in ("place1-top", "place1-top-corner"):
        assert find_recipe(name).viewpoints == find_recipe(name).sampler.viewpoints == (Viewpoint.TOP,)
    assert find_recipe("place1-cross-view").viewpoints == tuple(Viewpoint)


def test_members_with_different_seeds_keep_back_the_same():
    """The split has its own seed, which does not follow the recipe's."""
    folds = '[folds]\nkind = "by-individual"\n'
    assert parse_recipe("seed = 1\n" + TEXT + folds).folds == parse_recipe("seed = 2\n" + TEXT + folds).folds


def test_an_unknown_recipe_names_those_that_exist():
    """A wrong name is answered with the right ones."""
    with pytest.raises(InvalidInput, match="place2"):
        find_recipe("place5")


def test_stages_follow_each_other():
    """The first picture size is left at the given share of the run, the last one is the released size."""
    recipe = InputRecipe(stages=((64, 32), (96, 48), (128, 64)), stage_ends=(0.5, 0.75))
    assert [recipe.stage_at(progress) for progress in (0.0, 0.49, 0.5, 0.74, 0.75, 0.99)] == [0, 0, 1, 1, 2, 2]
    assert recipe.preprocessing().height == 128
    assert [InputRecipe(stages=((64, 32), (96, 48))).stage_at(progress) for progress in (0.49, 0.5)] == [0, 1]


def test_timm_is_asked_only_for_its_own_names(monkeypatch):
    """A name outside the packages is looked up in timm, imported then; without it the recipe is refused in words."""
    torch = pytest.importorskip("torch", reason="nets need the [train] extra, which is not installed")
    from models.backbones import make_backbone

    class Pyramid(torch.nn.Module):
        feature_info = type("Info", (), {"channels": staticmethod(lambda: [4, 8])})

        def forward(self, images):
            return [images.mean(1, keepdim=True).repeat(1, 4, 1, 1), images.mean(1, keepdim=True).repeat(1, 8, 1, 1)]

    fake = ModuleType("timm")
    asked = []
    fake.create_model = lambda name, **wishes: asked.append((name, wishes)) or Pyramid()
    monkeypatch.setitem(sys.modules, "timm", fake)
    backbone = make_backbone("maxvit_tiny_tf_384.in1k")
    assert backbone.channels == (4, 8)
    assert [tuple(part.shape) for part in backbone(torch.zeros(2, 3, 6, 5))] == [(2, 4, 6, 5), (2, 8, 6, 5)]
    assert asked == [("maxvit_tiny_tf_384.in1k", {"pretrained": True, "features_only": True, "out_indices": (-2, -1)})]
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InvalidInput, match="needs timm"):
        make_backbone("maxvit_tiny_tf_384.in1k")


def test_without_the_extra_a_command_says_what_is_missing(monkeypatch, tmp_path):
    """No traceback: one sentence with the package and the way to get it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(app, ["train", "place2", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "resight[train]" in result.stderr


def test_the_recipes_are_listed():
    """Every delivered recipe has a line with its net."""
    result = CliRunner().invoke(app, ["recipes"])
    assert result.exit_code == 0
    assert sorted(line.split()[0] for line in result.stdout.splitlines()) == NAMES
