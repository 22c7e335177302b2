from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from app.adapters.onnx_embedder import PRECISION, OnnxEmbedder
from app.adapters.pillow_images import PillowImages
from app.domain.catalogue import Box
from app.domain.ensemble import Space, sealed
from app.domain.errors import BadImage, SpaceMismatch
from app.domain.photograph import Photograph
from tests.tiny_ensemble import build_tiny_ensemble

RELEASED = Path(__file__).parents[2] / "models" / "released"


def photographs(count: int) -> list[Photograph]:
    drawn = np.random.default_rng(7)
    made = []
    for _ in range(count):
        height, width = drawn.integers(20, 90, size=2)
        coarse = drawn.integers(0, 256, size=(5, 4, 3)) * drawn.random(3)
        pixels = np.kron(coarse, np.ones((height // 5 + 1, width // 4 + 1, 1)))[:height, :width].astype(np.uint8)
        made.append(Photograph(pixels, "PNG", int(width), int(height)))
    return made


def whole(made: list[Photograph]) -> list[tuple[Photograph, Box | None]]:
    return [(photograph, None) for photograph in made]


@pytest.fixture
def folder(tmp_path):
    return build_tiny_ensemble(tmp_path / "tiny")


@pytest.fixture
def embedder(folder):
    return OnnxEmbedder(folder, PillowImages().prepare)


def by_hand(folder: Path, space: Space, photograph: Photograph, box: Box | None = None) -> np.ndarray:
    """One joined vector from plain ONNX Runtime and numpy, in float64, sharing no code with the embedder."""
    parts = []
    for member in space.members:
        session = ort.InferenceSession(folder / member.file, providers=["CPUExecutionProvider"])
        tensor = PillowImages().prepare(photograph, member.preprocessing, box)
        both = session.run(["embedding"], {"images": np.stack([tensor, tensor[:, :, ::-1]])})[0].astype(np.float64)
        merged = np.concatenate(list(both)) if member.preprocessing.mirror == "beside" else both.mean(axis=0)
        parts.append(merged / np.linalg.norm(merged) * np.sqrt(member.weight))
    joined = np.concatenate(parts)
    return joined / np.linalg.norm(joined)


def test_vectors_are_those_of_plain_onnxruntime(folder, embedder):
    """The joined vector is unit, and equals image + mirror through bare sessions, normalised, weighted and joined."""
    made = photographs(5)
    (space,) = embedder.ensemble.spaces
    vectors = embedder.embed(whole(made), [space])["tiny"]
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, [by_hand(folder, space, one) for one in made], atol=1e-5)


def test_tiny_ensemble_tells_photographs_apart(embedder):
    """The ensemble that other tests lean on is no constant: different pictures get clearly different vectors."""
    vectors = embedder.embed(whole(photographs(12)), embedder.ensemble.spaces)["tiny"]
    cosines = (vectors @ vectors.T)[np.triu_indices(12, 1)]
    assert cosines.min() < 0.5
    assert cosines.max() < 0.9999


def test_batch_gives_the_vectors_of_the_single_path(embedder):
    """A photograph has one vector, whatever came with it in the same call."""
    made, spaces = photographs(20), embedder.ensemble.spaces
    batch = embedder.embed(whole(made), spaces)["tiny"]
    singles = np.concatenate([embedder.embed(whole([one]), spaces)["tiny"] for one in made])
    np.testing.assert_allclose(batch, singles, atol=1e-5)


def test_requests_side_by_side_do_not_mix(embedder):
    """Many threads share one pool, and each gets its own vectors."""
    made, spaces = photographs(6), embedder.ensemble.spaces
    alone = [embedder.embed(whole(made[i:]), spaces)["tiny"] for i in range(6)]
    with ThreadPoolExecutor(6) as callers:
        for _ in range(5):
            beside = callers.map(lambda i: embedder.embed(whole(made[i:]), spaces)["tiny"], range(6))
            for expected, actual in zip(alone, beside, strict=True):
                np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_number_of_threads_changes_no_vector(folder, embedder, threads):
    """Threads are a matter of speed alone."""
    made, spaces = photographs(3), embedder.ensemble.spaces
    other = OnnxEmbedder(folder, PillowImages().prepare, threads=threads)
    np.testing.assert_array_equal(other.embed(whole(made), spaces)["tiny"], embedder.embed(whole(made), spaces)["tiny"])


def test_mirrored_photograph_has_the_same_vector(embedder):
    """Averaging over image and mirror makes left and right faces of a picture one."""
    (made,) = photographs(1)
    mirrored = Photograph(np.ascontiguousarray(made.pixels[:, ::-1]), "PNG", made.width, made.height)
    first, second = embedder.embed(whole([made, mirrored]), embedder.ensemble.spaces)["tiny"]
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize(("mirror", "length"), [("beside", 16), ("none", 8)])
def test_a_member_says_what_becomes_of_the_mirror(folder, mirror, length):
    """Beside each other, photograph and mirror change places in a mirrored photograph; without it only one is seen."""
    manifest = json.loads((folder / "manifest.json").read_text())
    member = manifest["spaces"][0]["members"][0] | {"dimension": length}
    member["preprocessing"]["mirror"] = mirror
    manifest["spaces"][0]["members"] = [member]
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest)))
    chosen = OnnxEmbedder(folder, PillowImages().prepare)
    (made,) = photographs(1)
    mirrored = Photograph(np.ascontiguousarray(made.pixels[:, ::-1]), "PNG", made.width, made.height)
    first, second = chosen.embed(whole([made, mirrored]), chosen.ensemble.spaces)["tiny"]
    assert first.shape == (length,)
    sides = [one.reshape(-1, 8) for one in (first, second)]
    alone = [side[0] / np.linalg.norm(side[0]) for side in sides]
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    np.testing.assert_allclose(sides[0], sides[1][::-1] if mirror == "beside" else [alone[0]], atol=1e-5)


def test_box_is_what_is_embedded(folder, embedder):
    """Two boxes of one photograph have the vectors of these crops."""
    (made,) = photographs(1)
    (space,) = embedder.ensemble.spaces
    boxes = [Box(0, 0, 10, 15), Box(5, 3, 8, 9)]
    vectors = embedder.embed([(made, box) for box in boxes], [space])["tiny"]
    np.testing.assert_allclose(vectors, [by_hand(folder, space, made, box) for box in boxes], atol=1e-5)


def test_box_outside_the_photograph_is_the_callers_fault(embedder):
    """A bad box among good ones raises BadImage, and the next call is served as before."""
    made, spaces = photographs(3), embedder.ensemble.spaces
    with pytest.raises(BadImage, match="outside"):
        embedder.embed([(made[0], None), (made[1], Box(0, 0, 10_000, 1)), (made[2], None)], spaces)
    assert embedder.embed(whole(made), spaces)["tiny"].shape == (3, 16)


def test_nothing_to_embed_gives_no_rows(embedder):
    """An empty batch has the right width."""
    assert embedder.embed([], embedder.ensemble.spaces)["tiny"].shape == (0, 16)


def test_only_the_spaces_asked_for_are_computed(tmp_path):
    """Each space has its own vectors, and asking for one leaves the other's members alone."""
    folder = build_tiny_ensemble(tmp_path / "two", spaces=2)
    recipes = []

    def watched(photograph, recipe, box):
        recipes.append((recipe.height, recipe.width))
        return PillowImages().prepare(photograph, recipe, box)

    embedder = OnnxEmbedder(folder, watched)
    anything, overhead = embedder.ensemble.spaces
    (made,) = photographs(1)
    assert set(embedder.embed(whole([made]), [overhead])) == {"overhead"}
    assert recipes == [(32, 32)]
    both = embedder.embed(whole([made]), [anything, overhead])
    for space in (anything, overhead):
        np.testing.assert_allclose(both[space.name][0], by_hand(folder, space, made), atol=1e-5)


def test_members_of_one_recipe_share_their_input(folder):
    """A photograph is prepared once for all members that take it alike."""
    manifest = json.loads((folder / "manifest.json").read_text())
    first, second = manifest["spaces"][0]["members"]
    second["preprocessing"] = first["preprocessing"]
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest)))
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return PillowImages().prepare(*arguments)

    embedder = OnnxEmbedder(folder, counted)
    embedder.embed(whole(photographs(4)), embedder.ensemble.spaces)
    assert len(calls) == 4


def test_member_of_two_spaces_is_computed_once(tmp_path):
    """Spaces that share a member share its session and its vector."""
    folder = build_tiny_ensemble(tmp_path / "two", spaces=2)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["spaces"][1]["members"] = manifest["spaces"][0]["members"]
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest)))
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return PillowImages().prepare(*arguments)

    embedder = OnnxEmbedder(folder, counted)
    vectors = embedder.embed(whole(photographs(3)), embedder.ensemble.spaces)
    np.testing.assert_array_equal(vectors["any"], vectors["overhead"])
    assert len(calls) == 3


def test_space_of_another_release_is_refused(tmp_path, embedder):
    """Vectors are never computed for a space that the loaded release does not have."""
    other = OnnxEmbedder(build_tiny_ensemble(tmp_path / "other", seed=5), PillowImages().prepare)
    with pytest.raises(SpaceMismatch, match="tiny"):
        embedder.embed(whole(photographs(1)), other.ensemble.spaces)


def test_active_spaces_carry_precision_and_release(tmp_path, embedder):
    """A fingerprint belongs to model files, weights, preprocessing and precision, and to no folder."""
    (active,) = embedder.active_spaces()
    (space,) = embedder.ensemble.spaces
    assert (active.name, active.dimension, active.viewpoints) == ("tiny", 16, space.viewpoints)
    assert active.fingerprint == space.fingerprint("onnxruntime-cpu-float32") == space.fingerprint(PRECISION)
    elsewhere = OnnxEmbedder(build_tiny_ensemble(tmp_path / "elsewhere"), PillowImages().prepare)
    assert elsewhere.active_spaces() == [active]
    other = OnnxEmbedder(build_tiny_ensemble(tmp_path / "other", seed=5), PillowImages().prepare)
    assert other.active_spaces()[0].fingerprint != active.fingerprint


def test_folder_is_read_once_when_first_needed(folder):
    """Nothing is read at construction; once loaded, the files may even go away."""
    embedder = OnnxEmbedder(folder, PillowImages().prepare)
    spaces = embedder.ensemble.spaces
    for path in folder.iterdir():
        path.unlink()
    assert embedder.embed(whole(photographs(2)), spaces)["tiny"].shape == (2, 16)


@pytest.mark.parametrize("release", sorted(RELEASED.glob("*/manifest.json")), ids=lambda path: path.parent.name)
def test_released_ensembles_agree_in_batch_and_single(release):
    """What is shipped loads, and gives unit vectors that do not depend on the batch (1e-5)."""
    embedder = OnnxEmbedder(release.parent, PillowImages().prepare)
    made, spaces = photographs(3), embedder.ensemble.spaces
    batch = embedder.embed(whole(made), spaces)
    for space in spaces:
        assert batch[space.name].shape == (3, space.dimension)
        np.testing.assert_allclose(np.linalg.norm(batch[space.name], axis=1), 1, atol=1e-5)
        singles = np.concatenate([embedder.embed(whole([one]), [space])[space.name] for one in made])
        np.testing.assert_allclose(batch[space.name], singles, atol=1e-5)
        np.testing.assert_allclose(batch[space.name][0], by_hand(release.parent, space, made[0]), atol=1e-5)
