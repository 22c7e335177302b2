"""Losses, schedule and average, each held against its formula; every recipe learns with them."""

# ruff: noqa: E402 - what stands below the skips needs the extra
import sys
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra, which is not installed")
pytest.importorskip("efficientnet_lite_pytorch", reason="training needs the [train] extra, which is not installed")

from models.losses import ArcFace, Objective, class_margins
from models.nets import make_net
from models.optimise import Average, Optimiser, learning_rate
from models.recipe import FOLDER, LossRecipe, OptimiserRecipe, find_recipe

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


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


def test_individuals_of_the_same_day_have_a_head_start():
    """The loss is the cross-entropy of logits to which the prior of the picture's day is added."""
    ours = ArcFace(np.full(3, 4), 7, LossRecipe(scale=4.0, occasion=2.0))
    torch.manual_seed(0)
    rows, labels = torch.randn(2, 7), torch.tensor([0, 2])
    seen = torch.tensor([[True, True, False], [False, False, True]])
    logits = 4.0 * ours.cosines(rows) + torch.tensor([[2.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert ours(rows, labels, 0.0, seen=seen).item() == pytest.approx(expected.item(), rel=1e-5)
    assert ours(rows, labels, 0.0).item() > expected.item()


def test_margins_are_those_of_second_place():
    """0.5 n ** -0.125 + 0.05, written as bounds and a power: one photograph gets 0.55."""
    counts = np.array([1, 2, 10, 106])
    power = 0.5 * counts**-0.125 + 0.05
    recipe = LossRecipe(margin_low=float(power[-1]), margin_high=float(power[0]), margin_power=0.125)
    assert class_margins(counts, recipe).numpy() == pytest.approx(power, rel=1e-6)


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
