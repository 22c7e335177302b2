"""The parts of training, each held against what it must equal."""

# ruff: noqa: E402 - what stands below the skips needs the extra
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra, which is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="training needs the [train] extra, which is not installed")

from app.domain.catalogue import CaptureDate, DatePrecision, Sighting, Viewpoint
from app.domain.errors import InvalidInput
from models.adapt import fit_head
from models.augment import Augment
from models.backbones import DepthwiseConv
from models.classes import Classes
from models.dataset import Photographs, fold_numbers, training_rows
from models.embedding import unit
from models.nets import Dolg, make_net
from models.recipe import (
    AugmentRecipe,
    FoldRecipe,
    NetRecipe,
    SamplerRecipe,
    find_recipe,
    parse_recipe,
)
from models.sampler import Sampler
from models.validation import leave_one_out
from models.whiten import fit_across_encounters, fit_whitening

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

# Every chance and strength at nothing.
STILL = dict.fromkeys(AugmentRecipe.model_fields.keys() - {"mirror"}, 0.0)


def photographs(tmp_path, *, animals=8, encounters=3, shots=2):
    """Animals seen from above in some encounters; the first half also from the left, in one more encounter."""
    rows = []
    for animal in range(animals):
        for encounter in range(encounters):
            rows += [(animal, encounter, Viewpoint.TOP)] * shots
        rows += [(animal, encounters, Viewpoint.LEFT)] * (1 if animal < animals // 2 else 0)
    sightings = tuple(Sighting(f"p{n}", f"p{n}.jpg", view, CaptureDate()) for n, (_, _, view) in enumerate(rows))
    individuals = np.array([animal for animal, _, _ in rows])
    seen = np.array([animal * 10 + encounter for animal, encounter, _ in rows])
    return Photographs(tmp_path, sightings, individuals, seen, np.array(["train"] * len(rows)))


def test_the_quick_depthwise_gradient_is_the_true_one():
    """Output and both gradients equal torch's own convolution, for both strides."""
    for stride, padding in ((1, 1), (2, 0)):
        conv = torch.nn.Conv2d(6, 6, 3, stride=stride, padding=padding, groups=6, bias=False)
        conv.static_padding = torch.nn.Identity()
        quick = DepthwiseConv(conv).train()
        maps = torch.randn(2, 6, 9, 7, requires_grad=True)
        results = []
        for layer in (conv, quick):
            layer.zero_grad()
            maps.grad = None
            output = layer(maps)
            output.square().sum().backward()
            results.append((output.detach().clone(), maps.grad.clone(), layer.weight.grad.clone()))
        for one, other in zip(*results, strict=True):
            assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["beluga-lite0", "place1-top", "place1-top-corner", "place1-cross-view", "place2", "place3", "place4"]
)
def test_a_winner_s_net_gives_its_dimension(name):
    """Every packaged recipe builds a net whose embeddings have the dimension that it claims."""
    net = make_net(find_recipe(name).net, pretrained=False).eval()
    with torch.no_grad():
        embedding, feature_map = net.outputs(torch.zeros(2, 3, 64, 32))
    assert embedding.shape == (2, net.dimension)
    assert feature_map.shape == (2, 1280, 2, 1)


def test_partners_come_from_another_encounter_and_another_side(tmp_path):
    """With certain chances every pair is one individual; cross-view pairs join a top view with a lateral."""
    table, random = photographs(tmp_path), np.random.default_rng(0)
    rows = np.arange(len(table))
    recipe = SamplerRecipe(kind="pairs", other_encounter=1.0, other_view=0.0)
    for batch in Sampler(table, rows, recipe, 8, random).epoch():
        first, second = batch[:4], batch[4:]
        assert (table.individuals[first] == table.individuals[second]).all()
        assert (table.encounters[first] != table.encounters[second]).all()
    for batch in Sampler(table, rows, SamplerRecipe(kind="views"), 8, random).epoch():
        first, second = batch[:4], batch[4:]
        assert (table.individuals[first] == table.individuals[second]).all()
        assert table.top[first].all()
        assert not table.top[second].any()


def test_rare_individuals_can_be_left_out(tmp_path):
    """Fourth place's step: an individual with fewer photographs than wanted does not take part."""
    table, random = photographs(tmp_path), np.random.default_rng(0)
    kept = Sampler(table, np.arange(len(table)), SamplerRecipe(least=7), 8, random).rows
    assert set(table.individuals[kept].tolist()) == {0, 1, 2, 3}
    with pytest.raises(InvalidInput, match="fewer than two"):
        Sampler(table, np.arange(len(table)), SamplerRecipe(least=99), 8, random)


def test_folds_keep_whales_or_encounters_whole(tmp_path):
    """By individual: no whale on both sides. Within: no encounter on both sides, every whale in the training part."""
    table = photographs(tmp_path)
    apart = fold_numbers(table, FoldRecipe(kind="by-individual", count=4))
    assert all(len(set(apart[table.individuals == one].tolist())) == 1 for one in range(8))
    within = FoldRecipe(kind="within-individual", count=3)
    numbers = fold_numbers(table, within)
    assert all(len(set(numbers[table.encounters == one].tolist())) == 1 for one in np.unique(table.encounters))
    rows = training_rows(table, within, tuple(Viewpoint))
    assert set(table.individuals[rows].tolist()) == set(range(8))
    assert len(rows) < len(table)
    assert (fold_numbers(table, within.model_copy(update={"seed": 1})) != numbers).any()


def test_what_is_kept_back_becomes_scenarios(tmp_path):
    """Without scenarios of its own a catalogue is judged by leaving one out, once a side, with both truths."""
    table = photographs(tmp_path)
    pack = leave_one_out(table, table.individuals < 4)
    (scenario,) = pack.scenarios  # one lateral a whale: nothing to find on that side
    assert len(scenario.queries) == len(scenario.gallery) == 24
    assert {len(matches) for matches in pack.truth.values()} == {5}
    assert {len(matches) for matches in pack.other_encounter.values()} == {4}


def test_whitened_rows_have_unit_variance():
    """On the rows that it was fitted on every component has the same variance, and none goes with another."""
    random = np.random.default_rng(0)
    rows = (random.normal(size=(500, 6)) @ random.normal(size=(6, 6))).astype(np.float32)
    whitened = fit_whitening(rows, 4, shrink=0.0).apply(rows)
    spread = np.cov(whitened.T)
    assert np.allclose(spread / spread[0, 0], np.eye(4), atol=1e-3)


def test_what_changes_between_encounters_counts_less():
    """A direction in which animals differ only from day to day is damped; one that is the animal's own is kept."""
    random = np.random.default_rng(0)
    individuals = np.repeat(np.arange(30), 6)
    encounters = np.arange(180) // 2
    own, day = random.normal(size=30)[individuals], random.normal(size=90)[encounters] * 3
    rows = np.stack([own, day], axis=1).astype(np.float32)
    matrix = np.abs(fit_across_encounters(rows, individuals, encounters, shrink=0.01).matrix)
    assert matrix[0, 0] > 5 * matrix[1, 1]
    kept = fit_across_encounters(rows, individuals, encounters, shrink=0.01, dimension=1).matrix
    assert kept.shape == (1, 2)
    assert abs(kept[0, 0]) > 5 * abs(kept[0, 1])  # what was damped is not the strongest any more
    with pytest.raises(InvalidInput, match="two encounters"):
        fit_across_encounters(rows, np.arange(180), encounters)


def test_a_head_learns_who_is_who():
    """Classes that differ only in a weak direction are told apart after seconds of fitting."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 20)
    weak = random.normal(size=(10, 8))[labels] * 0.3
    rows = unit(np.concatenate([random.normal(size=(200, 24)), weak], axis=1).astype(np.float32))
    head = fit_head(np.stack([rows, rows], axis=1), labels, dimension=16, epochs=60)

    def hits(vectors):
        cosines = unit(vectors) @ unit(vectors).T - 2 * np.eye(200)
        return (labels[cosines.argmax(axis=1)] == labels).mean()

    assert hits(head.apply(rows)) > 2 * hits(rows)


def test_augmentation_repeats_with_its_generator():
    """The same generator state gives the same pictures, in 0..1 and at the size asked for."""
    pixels = torch.randint(0, 256, (6, 40, 20, 3), dtype=torch.uint8)
    twice = [Augment(AugmentRecipe(), torch.Generator().manual_seed(5))(pixels, 36, 18) for _ in range(2)]
    assert torch.equal(*twice)
    assert twice[0].shape == (6, 3, 36, 18)
    assert twice[0].min() >= 0.0
    assert twice[0].max() <= 1.0


def test_an_augmentation_of_nothing_changes_nothing():
    """With every chance and strength at zero the pictures come out as they went in."""
    still = AugmentRecipe(**STILL)
    pixels = torch.randint(1, 256, (4, 24, 12, 3), dtype=torch.uint8)
    pictures = Augment(still, torch.Generator().manual_seed(0))(pixels, 24, 12)
    assert torch.allclose(pictures, pixels.permute(0, 3, 1, 2) / 255.0, atol=1e-4)


def test_it_can_be_settled_which_pictures_are_mirrored():
    """A mirrored picture is the other's mirror image, and chance has no say in it."""
    recipe = AugmentRecipe(**STILL, mirror="another")
    pixels = torch.randint(0, 256, (2, 24, 12, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    pixels[1] = pixels[0]
    first, second = Augment(recipe, torch.Generator())(pixels, 24, 12, torch.tensor([False, True]))
    assert torch.allclose(first, second.flip(2), atol=1e-5)
    assert not torch.allclose(first, second, atol=1e-2)


def test_what_is_not_moved_nor_lit_stays():
    """With a chance of nothing, the strongest geometry and light change no pixel; the half that is chosen changes."""
    still = STILL | {"rotate": 90.0, "shift": 0.5, "light": 0.5}
    pixels = torch.randint(1, 256, (40, 24, 12, 3), dtype=torch.uint8)
    same = pixels.permute(0, 3, 1, 2) / 255.0

    def changed(**chances):
        augment = Augment(AugmentRecipe(**(still | chances)), torch.Generator().manual_seed(0))
        return int(((augment(pixels, 24, 12) - same).abs().amax(dim=(1, 2, 3)) > 1e-3).sum())

    assert changed() == 0
    assert 8 < changed(moved=0.5) < 32
    assert 8 < changed(lit=0.5) < 32


def test_third_place_s_hole_has_two_fifths_of_each_side():
    """One rectangle of one tone, 40 % high and 40 % wide, in every picture."""
    only = STILL | {"cut_out": 1.0, "hole": 0.4}
    pixels = torch.full((5, 50, 20, 3), 255, dtype=torch.uint8)
    pictures = Augment(AugmentRecipe(**only), torch.Generator().manual_seed(0))(pixels, 50, 20)
    cut = (pictures < 0.999).all(dim=1)
    assert cut.sum(dim=(1, 2)).tolist() == [20 * 8] * 5
    assert cut.any(dim=2).sum(dim=1).tolist() == [20] * 5


def test_dolg_s_local_part_is_orthogonal_to_the_global_one():
    """What the local branch adds has no share in the direction of the global vector; both halves have the width."""
    torch.manual_seed(0)
    fusion = Dolg((6, 10), learnable=True, width=16)
    vectors = fusion(torch.randn(4, 6, 8, 4), torch.randn(4, 10, 4, 2))
    assert vectors.shape == (4, fusion.width) == (4, 32)
    local, overall = vectors.chunk(2, dim=1)
    assert (local.norm(dim=1) > 1e-2).all()
    assert torch.nn.functional.cosine_similarity(local, overall).abs().max() < 1e-5


def test_dropout_is_for_training_alone():
    """In training two passes differ, in evaluation they agree; a net without dropout has the same weights' names."""
    recipe = NetRecipe(backbone="efficientnet-lite0", dimension=8, neck="linear-bn", dropout=0.5)
    net = make_net(recipe, pretrained=False).eval()
    images = torch.rand(4, 3, 64, 32)
    assert torch.equal(net(images), net(images))
    net.dropout.train()
    assert not torch.equal(net(images), net(images))
    plain = make_net(recipe.model_copy(update={"dropout": 0.0}), pretrained=False)
    assert plain.state_dict().keys() == net.state_dict().keys()


def test_an_embedding_does_not_depend_on_its_company():
    """A net in evaluation gives a photograph the same vector alone and in a batch."""
    net = make_net(NetRecipe(backbone="efficientnet-lite0", dimension=8), pretrained=False).eval()
    images = torch.rand(3, 3, 64, 32)
    with torch.no_grad():
        assert torch.allclose(net(images)[1], net(images[1:2])[0], atol=1e-4)


def test_a_mirrored_pair_shows_another_individual(tmp_path):
    """Every class comes twice; an anchor and its partner are mirrored together, and the generator decides which."""
    shown = photographs(tmp_path)
    rows = np.arange(len(shown))
    text = '[net]\nbackbone = "efficientnet-lite0"\n[input]\nstages = [[64, 32]]\n[sampler]\nkind = "pairs"\n'
    same, another = (
        Classes(shown, rows, parse_recipe(f'name = "tiny"\n{text}[augment]\nmirror = "{word}"\n'))
        for word in ("same", "another")
    )
    batch = np.concatenate([rows[:20], rows[:20]])
    numbers, mirrored = same.draw(batch, torch.Generator())
    assert mirrored is None
    assert numbers.tolist() == shown.individuals[batch].tolist()
    labels, mirrored = another.draw(batch, torch.Generator().manual_seed(0))
    assert torch.equal(mirrored[:20], mirrored[20:])
    assert 4 < int(mirrored[:20].sum()) < 16
    assert torch.equal(labels, numbers + 8 * mirrored)
    assert another.counts.tolist() == [*same.counts.tolist()] * 2


def test_a_day_shows_the_individuals_that_were_photographed_on_it(tmp_path):
    """Each photograph is told apart under a prior over its own day's individuals; an unknown day names nobody."""
    known = [CaptureDate(datetime(2019, 8, day, tzinfo=UTC), DatePrecision.DAY) for day in (7, 5, 7)]
    month = CaptureDate(datetime(2019, 8, 5, tzinfo=UTC), DatePrecision.MONTH)
    table = photographs(tmp_path, animals=4, encounters=1, shots=1)
    tops = [one for one in table.sightings if one.viewpoint is Viewpoint.TOP]
    dated = tuple(replace(one, captured=when) for one, when in zip(tops, [*known, month], strict=True))
    table = replace(table, sightings=dated, individuals=np.arange(4), encounters=np.arange(4), parts=table.parts[:4])
    assert table.days.tolist() == [1, 0, 1, -1]
    text = 'name = "tiny"\n[net]\nbackbone = "efficientnet-lite0"\n[input]\nstages = [[64, 32]]\n[augment]\nmirror = '
    same, another = (Classes(table, np.arange(4), parse_recipe(f'{text}"{word}"\n')) for word in ("same", "another"))
    seen = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert same.seen(np.arange(4)).int().tolist() == seen
    assert another.seen(np.arange(4)).int().tolist() == [row * 2 for row in seen]
