"""The parts of training, each held against what it must equal."""

# ruff: noqa: E402 - what stands below the skips needs the extra
import sys
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra, which is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="training needs the [train] extra, which is not installed")

from app.domain.catalogue import CaptureDate, Sighting, Viewpoint
from app.domain.errors import InvalidInput
from models.adapt import fit_head
from models.augment import Augment
from models.backbones import DepthwiseConv
from models.dataset import Photographs, fold_numbers, training_rows
from models.embedding import unit
from models.losses import ArcFace, Objective, class_margins
from models.nets import Dolg, make_net
from models.optimise import Average, Optimiser, learning_rate
from models.recipe import (
    FOLDER,
    AugmentRecipe,
    FoldRecipe,
    LossRecipe,
    NetRecipe,
    OptimiserRecipe,
    SamplerRecipe,
    find_recipe,
)
from models.sampler import Sampler
from models.validation import leave_one_out
from models.whiten import fit_across_encounters, fit_whitening

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


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


@pytest.mark.parametrize("centres", [1, 3])
def test_arcface_is_the_library_s_where_they_overlap(centres):
    """With one constant margin the loss equals pytorch-metric-learning's sub-centre ArcFace."""
    library = pytest.importorskip("pytorch_metric_learning.losses")
    theirs = library.SubCenterArcFaceLoss(
        num_classes=5, embedding_size=7, margin=np.degrees(0.3), scale=16, sub_centers=centres
    )
    ours = ArcFace(np.full(5, 4), 7, LossRecipe(scale=16.0, margin_low=0.3, margin_high=0.3, centres=centres))
    ours.centres.data = theirs.W.data.T.clone()
    torch.manual_seed(0)
    rows, labels = torch.randn(12, 7), torch.arange(12) % 5
    assert ours(rows, labels, 1.0).item() == pytest.approx(theirs(rows, labels).item(), rel=1e-4)


def test_margins_are_those_of_second_place():
    """0.5 n ** -0.125 + 0.05, written as bounds and a power: one photograph gets 0.55."""
    counts = np.array([1, 2, 10, 106])
    power = 0.5 * counts**-0.125 + 0.05
    recipe = LossRecipe(margin_low=float(power[-1]), margin_high=float(power[0]), margin_power=0.125)
    assert class_margins(counts, recipe).numpy() == pytest.approx(power, rel=1e-6)


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
    still = AugmentRecipe(**dict.fromkeys(AugmentRecipe.model_fields, 0.0))
    pixels = torch.randint(1, 256, (4, 24, 12, 3), dtype=torch.uint8)
    pictures = Augment(still, torch.Generator().manual_seed(0))(pixels, 24, 12)
    assert torch.allclose(pictures, pixels.permute(0, 3, 1, 2) / 255.0, atol=1e-4)


def test_the_learning_rate_rises_and_ends_at_the_floor():
    """A straight warm-up to the peak, then down to the floor at the end."""
    recipe = OptimiserRecipe(warm_up=0.1, floor=0.02)
    assert learning_rate(0.05, recipe) == pytest.approx(0.5)
    assert learning_rate(0.1, recipe) == pytest.approx(1.0)
    assert learning_rate(1.0, recipe) == pytest.approx(0.02)


def test_first_place_s_rate_falls_by_a_fifth_an_epoch():
    """One hundredth of the peak at first, the peak after 15 of 20 epochs, then times 0.8 an epoch."""
    recipe = find_recipe("place1-top").optimiser
    rates = [learning_rate(epoch / 20, recipe) for epoch in (0, 15, 16, 17, 20)]
    assert rates == pytest.approx([0.01, 1.0, 0.8, 0.64, 0.8**5])


def test_a_schedule_begins_anew():
    """After the restart the rate is what it was at the same place of the first part."""
    recipe = OptimiserRecipe(warm_up=0.25, start=0.04, floor=1e-5, restart=0.75)
    for share in (0.0, 0.2, 0.25, 0.9):
        first, second = learning_rate(0.75 * share, recipe), learning_rate(0.75 + 0.25 * share, recipe)
        assert first == pytest.approx(second)
    assert learning_rate(0.7499, recipe) < 1e-4 < learning_rate(0.75, recipe)


def test_what_is_not_moved_nor_lit_stays():
    """With a chance of nothing, the strongest geometry and light change no pixel; the half that is chosen changes."""
    still = dict.fromkeys(AugmentRecipe.model_fields, 0.0) | {"rotate": 90.0, "shift": 0.5, "light": 0.5}
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
    only = dict.fromkeys(AugmentRecipe.model_fields, 0.0) | {"cut_out": 1.0, "hole": 0.4}
    pixels = torch.full((5, 50, 20, 3), 255, dtype=torch.uint8)
    pictures = Augment(AugmentRecipe(**only), torch.Generator().manual_seed(0))(pixels, 50, 20)
    cut = (pictures < 0.999).all(dim=1)
    assert cut.sum(dim=(1, 2)).tolist() == [20 * 8] * 5
    assert cut.any(dim=2).sum(dim=1).tolist() == [20] * 5


@pytest.fixture
def batch():
    """Twelve embeddings of three individuals, in the order of pairs."""
    torch.manual_seed(0)
    return torch.randn(12, 7), torch.arange(12) % 3


def test_focal_weighs_the_mean_of_the_batch(batch):
    """Third place: the loss L of the whole batch becomes (1 - exp(-L)) ** 6 * L."""
    plain = Objective(np.full(3, 4), 7, LossRecipe(scale=4.0))
    focal = Objective(np.full(3, 4), 7, LossRecipe(scale=4.0, focal_gamma=6.0))
    focal.load_state_dict(plain.state_dict())
    mean = plain(*batch, 0.5)[0].item()
    assert focal(*batch, 0.5)[0].item() == pytest.approx((1 - np.exp(-mean)) ** 6 * mean, rel=1e-5)


def test_partners_losses_are_summed(batch):
    """First place's cross-view loss: the mean over the anchors plus the mean over their partners."""
    objective = Objective(np.full(3, 4), 7, LossRecipe(partners="sum"))
    halves = zip(batch[0].chunk(2), batch[1].chunk(2), strict=True)
    apart = sum(objective.angular(rows, labels, 1.0).item() for rows, labels in halves)
    assert objective(*batch, 0.5)[0].item() == pytest.approx(apart, rel=1e-5)


def test_elastic_margins_are_drawn_around_their_mean():
    """Recovered from the losses of two-class batches of one: margins with first place's mean and deviation."""
    recipe = LossRecipe(kind="elastic-arcface", scale=8.0, margin_low=0.5, margin_high=0.5, margin_spread=0.0125)
    loss = ArcFace(np.full(2, 4), 5, recipe).double()
    row, label, generator = torch.ones(1, 5).double(), torch.tensor([0]), torch.Generator().manual_seed(0)
    own, other = loss.cosines(row)[0].tolist()
    values = np.array([loss(row, label, 1.0, generator).item() for _ in range(500)])
    margins = np.arccos(other - np.log(np.expm1(values)) / 8.0) - np.arccos(own)
    assert margins.mean() == pytest.approx(0.5, abs=0.003)
    assert margins.std() == pytest.approx(0.0125, rel=0.15)


def test_a_smoothed_classifier_comes_before_the_margins(batch):
    """Fourth place: up to its share a smoothed classifier alone is trained, from there on ArcFace alone, unsmoothed."""
    objective = Objective(np.full(3, 4), 7, LossRecipe(classifier_share=0.75, classifier_smoothing=0.1))
    first, second = objective(*batch, 0.74)[0], objective(*batch, 0.75)[0]
    smoothed = torch.nn.functional.cross_entropy(objective.classifier(batch[0]), batch[1], label_smoothing=0.1)
    assert first.item() == pytest.approx(smoothed.item())
    assert second.item() == pytest.approx(objective.angular(*batch, 1.0).item())
    first.backward()
    assert objective.angular.centres.grad is None
    objective.zero_grad()
    second.backward()
    assert objective.angular.centres.grad.abs().sum() > 0
    assert objective.classifier.weight.grad is None


def test_dolg_s_local_part_is_orthogonal_to_the_global_one():
    """What the local branch adds has no share in the direction of the global vector; both halves have the width."""
    torch.manual_seed(0)
    fusion = Dolg((6, 10), learnable=True, width=16)
    vectors = fusion(torch.randn(4, 6, 8, 4), torch.randn(4, 10, 4, 2))
    assert vectors.shape == (4, fusion.width) == (4, 32)
    local, overall = vectors.chunk(2, dim=1)
    assert (local.norm(dim=1) > 1e-2).all()
    assert torch.nn.functional.cosine_similarity(local, overall).abs().max() < 1e-5


def test_the_average_follows_and_without_decay_is_the_net_itself():
    """The first step weighs 9/11, whatever the decay; a decay of 0 keeps no memory."""
    net = torch.nn.BatchNorm1d(3)
    slow, none = Average(net, 0.998), Average(net, 0.0)
    net.weight.data.fill_(12.0)
    net.num_batches_tracked.fill_(5)
    slow.update(net)
    none.update(net)
    assert slow.state["weight"].tolist() == pytest.approx([1 + 11 * 9 / 11] * 3)
    assert none.state["weight"].tolist() == [12.0] * 3
    assert slow.state["num_batches_tracked"] == none.state["num_batches_tracked"] == 5


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


class SmallNet(torch.nn.Module):
    """Stands for any timm network: two maps, at strides 16 and 32."""

    feature_info = type("Info", (), {"channels": staticmethod(lambda: [8, 16])})

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 16, stride=16), torch.nn.ReLU())
        self.second = torch.nn.Sequential(torch.nn.Conv2d(8, 16, 2, stride=2), torch.nn.ReLU())

    def forward(self, images):
        middle = self.first(images)
        return [middle, self.second(middle)]


@pytest.mark.parametrize(
    "name", [*sorted(path.stem for path in FOLDER.glob("place*.toml")), "beluga-lite0", "beluga-lite2"]
)
def test_a_recipe_s_loss_falls(monkeypatch, name):
    """Pooling, neck, loss and optimiser of every recipe learn four individuals by heart, the transformer's too."""
    timm = ModuleType("timm")
    timm.create_model = lambda *_, **__: SmallNet()
    monkeypatch.setitem(sys.modules, "timm", timm)
    torch.manual_seed(0)
    recipe, generator = find_recipe(name), torch.Generator().manual_seed(0)
    net = make_net(recipe.net.model_copy(update={"backbone": "small"}), pretrained=False).train()
    objective = Objective(np.array([2, 3, 4, 7]), net.dimension, recipe.loss)
    optimiser = Optimiser(net, objective, recipe.optimiser)
    images, labels = torch.randn(16, 3, 64, 64), torch.arange(16) % 4
    losses = []
    for _ in range(40):
        loss, _ = objective(net(images), labels, 0.8, generator)  # past the classifier, near the peak of the rate
        losses.append(float(loss.detach()))
        assert optimiser.step(loss, 0.8) > 0
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:3])


def test_an_embedding_does_not_depend_on_its_company():
    """A net in evaluation gives a photograph the same vector alone and in a batch."""
    net = make_net(NetRecipe(backbone="efficientnet-lite0", dimension=8), pretrained=False).eval()
    images = torch.rand(3, 3, 64, 32)
    with torch.no_grad():
        assert torch.allclose(net(images)[1], net(images[1:2])[0], atol=1e-4)
