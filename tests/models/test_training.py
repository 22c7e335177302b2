"""From a recipe to a served match, in seconds: a packaged net, six painted animals, the real training loop."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="training needs the [train] extra, which is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="training needs the [train] extra, which is not installed")

from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.pillow_images import PillowImages
from app.bootstrap import bootstrap
from app.config import Settings
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Member, Mirror, Preprocessing, Space, parse_manifest
from app.domain.errors import InvalidInput
from app.domain.question import MatchRequest
from models import curves
from models.checkpoint import LAST
from models.dataset import read_photographs
from models.embedding import unit
from models.recipe import find_recipe, parse_recipe
from models.release import Title
from models.several import pack, train_several
from models.ship import ExportPlan, Levelling
from models.stored import views_of
from models.train import Bounds, Trainer
from models.validation import pack_for
from models.workshop import release_adapted, release_from_stored, release_runs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RECIPE = """
name = "tiny"
seed = 3
[net]
backbone = "efficientnet-lite0"
dimension = 16
[input]
stages = [[64, 32], [96, 32]]
[loss]
scale = 12.0
centres = 2
margin_ramp = 0.5
contrast = 0.5
[sampler]
kind = "pairs"
[schedule]
epochs = 2
batch = 8
"""
DIMENSION = 16
# A mirrored photograph shows another animal, and both sides stand in the vector.
APART = RECIPE.replace("[input]", '[augment]\nmirror = "another"\n[input]\nmirror = "beside"')


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six animals, each a colour, in two encounters of two top views, and one lateral each; half are kept back."""
    folder = tmp_path_factory.mktemp("catalogue")
    random = np.random.default_rng(0)
    lines, parts = ["image_id,path,viewpoint,date,whale_id,encounter_id"], ["image_id,part"]
    for animal in range(6):
        colour = random.integers(30, 220, 3)
        for number in range(5):
            size = (30, 90) if number == 4 else (90, 30)
            pixels = np.clip(colour + random.normal(0, 12, (*size, 3)), 0, 255).astype(np.uint8)
            name = f"a{animal}-{number}"
            Image.fromarray(pixels).save(folder / f"{name}.jpg")
            view = "left" if number == 4 else "top"
            lines.append(f"{name},{name}.jpg,{view},2019-08-{number // 2 + 1:02d},w{animal},w{animal}-{number // 2}")
            parts.append(f"{name},{'train' if animal < 4 else 'val_new'}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    (folder / "folds.csv").write_text("\n".join(parts) + "\n")
    return folder


def trained(catalogue: Path, out: Path, *, text: str = RECIPE, resume: bool = False) -> list[dict[str, str]]:
    """Train from the packaged ImageNet weights; the lines of the run's CSV."""
    recipe, photographs = parse_recipe(text), read_photographs(catalogue)
    pack = pack_for(photographs, recipe.folds)
    bounds = Bounds(out, out / "cache", resume=resume)
    Trainer(recipe, photographs, pack, bounds).run()
    return curves.read(out)


@pytest.mark.train
@pytest.mark.parametrize(("text", "dimension"), [(RECIPE, DIMENSION), (APART, 2 * DIMENSION)])
def test_a_recipe_becomes_an_ensemble_that_places_a_photograph(catalogue, tmp_path, text, dimension):
    """Train, export, release, import a catalogue with it, match: the photograph itself comes first, with score 1."""
    lines = trained(catalogue, tmp_path / "run", text=text)
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert 0.0 <= float(lines[-1]["map20_pooled"]) <= 1.0
    title = Title("tiny", "1", "none", "painted animals")
    runs, cache = [tmp_path / "run" / LAST], tmp_path / "cache"
    plan = ExportPlan(also_at=((64, 32),), weights=(0.7,))
    ensemble = release_runs(runs, catalogue, tmp_path / "tiny", title, cache, plan)
    assert [(member.weight, member.dimension) for member in ensemble.members] == [(0.7, dimension)] * 2
    assert len(list((tmp_path / "tiny").glob("*.onnx"))) == 1  # two members, one file
    services = bootstrap(Settings(data=tmp_path / "data", ensemble=str(tmp_path / "tiny"), threads=1))
    sheet = services.planning.plan(f"path:{catalogue.resolve()}")
    services.ingest.run(services.planning.begin(sheet))
    result = services.match(
        MatchRequest(photographs=((catalogue / "a2-1.jpg").read_bytes(),), viewpoints=(Viewpoint.TOP,))
    )
    best = result.candidates[0]
    assert best.annotation.source_id == "a2-1"
    assert best.same_photograph
    assert best.score == pytest.approx(1.0, abs=1e-5)


@pytest.mark.train
@pytest.mark.parametrize("text", [RECIPE, APART])
def test_an_ensemble_is_adapted_to_a_catalogue(catalogue, tmp_path, text):
    """A linear head is appended to every member; the adapted ensemble loads and gives the head's dimension."""
    trained(catalogue, tmp_path / "run", text=text)
    title = Title("tiny", "1", "none", "painted animals")
    runs, cache = [tmp_path / "run" / LAST], tmp_path / "cache"
    release_runs(runs, catalogue, tmp_path / "tiny", title, cache, ExportPlan(Levelling.ENCOUNTERS))
    release_adapted(catalogue, tmp_path / "tiny", tmp_path / "own", "own", tmp_path / "cache")
    ensemble = parse_manifest((tmp_path / "own" / "manifest.json").read_bytes())
    images = PillowImages()
    embedder = OnnxEmbedder(tmp_path / "own", images.prepare, threads=1)
    photograph = images.decode((catalogue / "a0-0.jpg").read_bytes())
    (vectors,) = embedder.embed([(photograph, None)], ensemble.spaces).values()
    assert vectors.shape == (1, ensemble.members[0].dimension)

    services = bootstrap(Settings(data=tmp_path / "data", ensemble=str(tmp_path / "tiny"), threads=1))
    services.ingest.run(services.planning.begin(services.planning.plan(f"path:{catalogue.resolve()}")))
    services.extract(tmp_path / "vectors.npz")
    stored = release_from_stored(tmp_path / "vectors.npz", tmp_path / "tiny", tmp_path / "stored", "stored")
    assert [member.dimension for member in stored.members] == [member.dimension for member in ensemble.members]
    with pytest.raises(InvalidInput, match="another ensemble"):
        release_from_stored(tmp_path / "vectors.npz", tmp_path / "own", tmp_path / "none", "none")
    (tmp_path / "vectors.npz").write_bytes(b"no archive")
    np.save(tmp_path / "vectors.npy", np.zeros(3))
    for name in ("vectors.npz", "vectors.npy"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            release_from_stored(tmp_path / name, tmp_path / "tiny", tmp_path / "none", "none")


@pytest.mark.train
def test_stored_vectors_come_apart_as_they_were_joined():
    """A member's part of the joined vectors, at unit length: the mean for both views, or the two sides as they are."""
    shape = Preprocessing(64, 32, (127.0,) * 3, (128.0,) * 3)
    beside = replace(shape, mirror=Mirror.BESIDE)
    members = (Member("a", "a.onnx", "0", 3, shape, 2.0), Member("b", "b.onnx", "1", 4, beside))
    space = Space("all", members, frozenset(Viewpoint))
    random = np.random.default_rng(0)
    blocks = [random.normal(size=(5, size)).astype(np.float32) for size in (3, 4)]
    first, second = (views_of(space, member, space.join(blocks)) for member in members)
    np.testing.assert_allclose(first, np.repeat(unit(blocks[0])[:, None], 2, axis=1), atol=1e-6)
    np.testing.assert_allclose(second, np.stack([unit(blocks[1][:, :2]), unit(blocks[1][:, 2:])], axis=1), atol=1e-6)


@pytest.mark.train
@pytest.mark.parametrize("name", ["place1-top", "place1-top-corner", "place1-cross-view", "place2", "place3", "place4"])
def test_a_winner_s_recipe_runs(catalogue, tmp_path, name):
    """Every loss, sampler, pooling and fold of the winners takes real steps: one small epoch, a finite loss."""
    recipe = find_recipe(name)
    small = recipe.model_copy(
        update={
            "input": recipe.input.model_copy(update={"stages": ((64, 32),)}),
            "schedule": recipe.schedule.model_copy(update={"epochs": 1, "batch": 4}),
        }
    )
    photographs = read_photographs(catalogue)
    pack_of = pack_for(photographs, small.folds)
    Trainer(small, photographs, pack_of, Bounds(tmp_path, tmp_path / "cache", pretrained=False)).run()
    (line,) = curves.read(tmp_path)
    assert np.isfinite(float(line["loss"]))


@pytest.mark.train
def test_without_anything_kept_back_a_run_is_not_scored(catalogue, tmp_path):
    """A recipe may train on all photographs, as second place did: the run ends without a score, not with an error."""
    (line,) = trained(catalogue, tmp_path, text=RECIPE.replace("epochs = 2", "epochs = 1") + '[folds]\nkind = "all"\n')
    assert line["map20_pooled"] == ""
    assert (tmp_path / LAST).exists()


@pytest.mark.train
def test_a_packed_catalogue_is_trained_on_elsewhere(catalogue, tmp_path):
    """A compact copy with the net's weights is enough to train on; its float16 checkpoint exports like any other."""
    recipe = parse_recipe(RECIPE.replace("epochs = 2", "epochs = 1").replace("[net]", 'viewpoints = ["top"]\n[net]', 1))
    size = pack(catalogue, [recipe], tmp_path / "packed", longest=64)
    assert size < 10_000_000
    told = []
    (path,) = train_several(tmp_path / "packed", [recipe], tmp_path / "out", None, lambda *line: told.append(line))
    assert [name for name, _ in told] == ["tiny"]
    assert path.stat().st_size < 10_000_000
    title = Title("tiny", "1", "none", "painted animals")
    ensemble = release_runs([path], catalogue, tmp_path / "tiny", title, tmp_path / "cache", ExportPlan(int8=True))
    assert ensemble.members[0].name == "tiny-int8"
    assert [(space.name, space.viewpoints) for space in ensemble.spaces] == [("top", {Viewpoint.TOP})]
    manifest = json.loads((tmp_path / "tiny" / "manifest.json").read_bytes())
    (member,) = manifest["spaces"][0]["members"]
    assert manifest["stored_as"] == member["stored_as"] == "int8"
    assert 0.5 < member["parity_with_float"]["least"] < 1.0
    assert "parity_with_torch" not in member
    assert str(tmp_path) not in (tmp_path / "tiny" / "MODEL_CARD.md").read_text()


@pytest.mark.train
def test_a_killed_run_goes_on_as_if_it_had_not_been(catalogue, tmp_path):
    """Kill -9 after the first epoch, then --resume: the losses equal those of an uninterrupted run."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    program = (
        "import sys; from pathlib import Path; sys.path[:0] = ['.', 'tests/models']\n"
        "import torch; torch.set_num_threads(1)\n"
        "from test_training import trained\n"
        "trained(Path(sys.argv[1]), Path(sys.argv[2]), resume=sys.argv[3] == 'resume')\n"
    )
    root = Path(__file__).parents[2]

    def start(out: Path, mode: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", program, str(catalogue), str(out), mode], cwd=root)

    assert start(tmp_path / "whole", "new").wait() == 0
    child = start(tmp_path / "killed", "new")
    while child.poll() is None and not (tmp_path / "killed" / LAST).exists():
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert len(curves.read(tmp_path / "killed")) == 1
    assert start(tmp_path / "killed", "resume").wait() == 0
    whole, resumed = curves.read(tmp_path / "whole"), curves.read(tmp_path / "killed")
    assert [line["loss"] for line in resumed] == [line["loss"] for line in whole]
