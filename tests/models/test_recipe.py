"""Recipes are read strictly, and every one that is delivered can be built."""

import sys
from types import ModuleType

import pytest
from typer.testing import CliRunner

from app.domain.errors import InvalidInput
from models.cli import app
from models.recipe import FOLDER, InputRecipe, find_recipe, parse_recipe

TEXT = 'name = "a"\n[net]\nbackbone = "efficientnet-lite0"\n[input]\nstages = [[64, 32]]\n'
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))


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
    ],
)
def test_a_fault_is_named(text, place):
    """An unknown key, a number out of bounds or a missing one is refused with its place."""
    with pytest.raises(InvalidInput, match=place.replace(".", r"\.")):
        parse_recipe(text)


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
