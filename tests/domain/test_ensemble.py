"""The ensemble and its manifest."""

import copy
import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Fit, Mirror, parse_manifest, sealed
from app.domain.errors import InvalidInput

MEMBER = {
    "name": "lite0",
    "file": "lite0.onnx",
    "sha256": "0" * 64,
    "dimension": 2,
    "weight": 3,
    "preprocessing": {
        "height": 384,
        "width": 192,
        "mean": [127, 127, 127],
        "std": [128, 128, 128],
        "fit": "squash",
        "turn_wide": True,
    },
}
MANIFEST = {
    "name": "trio",
    "version": "1",
    "licence": "Apache-2.0",
    "training_data": "ImageNet",
    "spaces": [
        {
            "name": "body",
            "members": [MEMBER, MEMBER | {"name": "lite1", "file": "lite1.onnx", "dimension": 3, "weight": 1}],
            "viewpoints": ["top", "left", "right", "unknown"],
        },
        {"name": "side", "members": [MEMBER], "viewpoints": ["left", "right"], "weight": 0.5},
    ],
}


def parsed(manifest: object):
    return parse_manifest(json.dumps(sealed(manifest)).encode())


def changed(*path: object, value: object) -> dict:
    """The manifest with one field, named by its path, set to another value, or taken out for ``...``."""
    manifest = copy.deepcopy(MANIFEST)
    place = manifest
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return manifest


FIRST = ("spaces", 0, "members", 0)
RECIPE = (*FIRST, "preprocessing")


def test_a_manifest_gives_its_ensemble():
    """Spaces, members, weights and recipes are read, and the release is named by its bytes."""
    text = json.dumps(sealed(MANIFEST)).encode()
    ensemble = parse_manifest(text)
    assert ensemble.manifest_sha256 == hashlib.sha256(text).hexdigest()
    assert [space.name for space in ensemble.spaces] == ["body", "side"]
    assert [member.name for member in ensemble.members] == ["lite0", "lite1", "lite0"]
    assert (ensemble.spaces[0].dimension, ensemble.spaces[0].weight, ensemble.spaces[1].weight) == (5, 1.0, 0.5)
    assert ensemble.members[0].preprocessing.fit is Fit.SQUASH


def test_a_manifest_that_was_changed_after_its_sealing_is_refused():
    """A mean that one flipped bit made another mean is still a valid mean: only the hash gives it away."""
    edited = {**sealed(MANIFEST), "version": "2"}
    with pytest.raises(InvalidInput, match="does not match its own SHA-256"):
        parse_manifest(json.dumps(edited).encode())
    with pytest.raises(InvalidInput, match="lacks the field 'sha256'"):
        parse_manifest(json.dumps(MANIFEST).encode())


def test_spaces_serve_pairs_of_viewpoints():
    """A space compares two viewpoints only when it can place both."""
    ensemble = parsed(MANIFEST)
    names = {
        (query, gallery): [space.name for space in ensemble.spaces_for(query, gallery)]
        for query in (Viewpoint.TOP, Viewpoint.LEFT)
        for gallery in (Viewpoint.LEFT, Viewpoint.RIGHT)
    }
    assert names[Viewpoint.LEFT, Viewpoint.RIGHT] == ["body", "side"]
    assert names[Viewpoint.TOP, Viewpoint.LEFT] == ["body"]


@pytest.mark.parametrize("field", ["name", "version", "licence", "training_data", "spaces"])
def test_a_missing_field_is_named(field):
    """A manifest says what it lacks."""
    with pytest.raises(InvalidInput, match=f"lacks the field '{field}'"):
        parsed(changed(field, value=...))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spaces",), []),
        (("spaces", 1, "name"), "body"),
        (("spaces", 0, "members"), []),
        (("spaces", 0, "viewpoints"), []),
        (("spaces", 0, "viewpoints"), ["front"]),
        (("spaces", 0, "weight"), 0),
        (("spaces", 0, "weight"), math.nan),
        ((*FIRST, "weight"), -1),
        ((*FIRST, "weight"), math.inf),
        ((*FIRST, "dimension"), 0),
        ((*FIRST, "dimension"), "many"),
        ((*FIRST, "file"), "../lite0.onnx"),
        ((*FIRST, "file"), "/models/lite0.onnx"),
        ((*FIRST, "file"), "a\\b.onnx"),
        ((*FIRST, "file"), ".."),
        ((*FIRST, "file"), ""),
        ((*FIRST, "sha256"), ...),
        (RECIPE, ...),
        (RECIPE, []),
        ((*RECIPE, "height"), 0),
        ((*RECIPE, "std"), [1, 1, 0]),
        ((*RECIPE, "mean"), [1, 1]),
        ((*RECIPE, "mean"), 127),
        ((*RECIPE, "mean"), [1, 1, math.nan]),
        ((*RECIPE, "std"), [1, 1, math.inf]),
        ((*RECIPE, "fit"), "stretch"),
        ((*RECIPE, "turn_wide"), "false"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(path, value):
    """Weights, sizes, names and files are held against the rules before any model is opened."""
    with pytest.raises(InvalidInput):
        parsed(changed(*path, value=value))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"7", b'{"spaces": 7}'])
def test_what_is_not_a_manifest_is_refused(text):
    """Any bytes are an ensemble or InvalidInput."""
    with pytest.raises(InvalidInput):
        parse_manifest(text)


def test_a_fingerprint_changes_with_everything_that_changes_a_vector():
    """Model, preprocessing, weight, dimension and precision each make another space; a new name does not."""
    space = parsed(MANIFEST).spaces[0]
    member = space.members[0]
    others = [
        replace(member, sha256="1" * 64),
        replace(member, weight=2.0),
        replace(member, dimension=4),
        replace(member, preprocessing=replace(member.preprocessing, fit=Fit.LETTERBOX)),
        replace(member, preprocessing=replace(member.preprocessing, turn_wide=False)),
        replace(member, preprocessing=replace(member.preprocessing, std=(1.0, 1.0, 1.0))),
        replace(member, preprocessing=replace(member.preprocessing, mirror=Mirror.BESIDE)),
        replace(member, preprocessing=replace(member.preprocessing, mirror=Mirror.NONE)),
    ]
    variants = [replace(space, members=(other, space.members[1])) for other in others]
    prints = {one.fingerprint("fp32") for one in [space, *variants]} | {space.fingerprint("int8")}
    assert len(prints) == len(others) + 2
    renamed = replace(space, name="other", weight=9.0, members=(replace(member, name="x", file="y"), space.members[1]))
    assert renamed.fingerprint("fp32") == space.fingerprint("fp32")


def test_the_usual_mirror_leaves_a_fingerprint_as_it_was():
    """A catalogue that was embedded before a manifest could name the mirror needs not be embedded again."""
    told = parsed(changed(*RECIPE, "mirror", value="mean")).spaces[0]
    assert told.fingerprint("fp32") == parsed(MANIFEST).spaces[0].fingerprint("fp32")
    assert told.fingerprint("fp32") == "2a443a43a6c78ad5ad5c996cd12aae9a3bba11673e3e9b10930d4b1113a695ee"


@pytest.mark.parametrize(("mirror", "merged"), [("mean", [[2.0, 4.0]]), ("beside", [[1.0, 2.0, 3.0, 6.0]])])
def test_photograph_and_mirror_make_one_vector(mirror, merged):
    """The mean of both, or both one after the other; a picture's vector has the length that the model gives."""
    manifest = changed(*RECIPE, "mirror", value=mirror)
    manifest["spaces"] = manifest["spaces"][1:]
    member = parsed(manifest).members[0]
    sides = np.array([[[1.0, 2.0]], [[3.0, 6.0]]], np.float32)
    assert member.preprocessing.mirror.merge(sides).tolist() == merged
    assert member.view_dimension == member.dimension // (2 if mirror == "beside" else 1)


def test_a_member_may_leave_the_mirror_out():
    """Then one picture is looked at, and its vector is the photograph's."""
    mirror = parsed(changed(*RECIPE, "mirror", value="none")).members[0].preprocessing.mirror
    assert mirror.views == 1
    assert mirror.merge(np.array([[[1.0, 2.0]]], np.float32)).tolist() == [[1.0, 2.0]]


def test_vectors_beside_each_other_have_an_even_dimension():
    """A manifest whose dimension is not that of two pictures contradicts itself."""
    manifest = changed(*RECIPE, "mirror", value="beside")  # the second member has three numbers
    with pytest.raises(InvalidInput, match=r"'lite1'.*even"):
        parsed(manifest)


def test_joined_vectors_give_the_weighted_mean_of_cosines():
    """The inner product in a space is what its members say, by their weights (here 3 : 1)."""
    space = parsed(MANIFEST).spaces[0]
    chance = np.random.default_rng(3)
    blocks = [chance.normal(size=(4, size)).astype(np.float32) for size in (2, 3)]
    joined = space.join(blocks)
    units = [block / np.linalg.norm(block, axis=1, keepdims=True) for block in blocks]
    expected = 0.75 * units[0] @ units[0].T + 0.25 * units[1] @ units[1].T
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined @ joined.T, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1.0, atol=1e-6)


def test_a_vector_of_zeros_does_not_become_nan():
    """A member that says nothing leaves the others to speak."""
    space = parsed(MANIFEST).spaces[0]
    joined = space.join([np.zeros((1, 2), np.float32), np.ones((1, 3), np.float32)])
    assert np.isfinite(joined).all()
    np.testing.assert_allclose(np.linalg.norm(joined), 1.0, atol=1e-6)
