"""Damaged, missing and hostile model files: never used, named, and forgotten once the good file is back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.pillow_images import PillowImages
from app.domain.ensemble import sealed
from app.domain.errors import ModelUnavailable
from app.domain.photograph import Photograph
from tests.tiny_ensemble import build_tiny_ensemble, tiny_network

PICTURE = Photograph(np.random.default_rng(3).integers(0, 256, (40, 20, 3), dtype=np.uint8), "PNG", 20, 40)
SEED = 20_261_122


@pytest.fixture
def folder(tmp_path):
    return build_tiny_ensemble(tmp_path / "tiny")


def opened(folder: Path) -> OnnxEmbedder:
    return OnnxEmbedder(folder, PillowImages().prepare, retry_seconds=0)


def vector(embedder: OnnxEmbedder) -> np.ndarray:
    return embedder.embed([(PICTURE, None)], embedder.ensemble.spaces)["tiny"]


def replace_member(folder: Path, content: bytes, **fields: object) -> None:
    """Put another graph in place of "tall" and say so in the manifest: only its contents can give it away."""
    manifest = json.loads((folder / "manifest.json").read_text())
    member = manifest["spaces"][0]["members"][0]
    member.update({"sha256": hashlib.sha256(content).hexdigest(), **fields})
    (folder / member["file"]).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest)))


def refusal(folder: Path) -> str:
    """What is said of a folder that must not be used, by the ensemble and by a search alike."""
    embedder = opened(folder)
    with pytest.raises(ModelUnavailable) as caught:
        _ = embedder.ensemble
    with pytest.raises(ModelUnavailable):
        embedder.active_spaces()
    return str(caught.value)


def damages(content: bytes, count: int) -> list[bytes]:
    """Copies with one bit flipped and copies cut short, in turn, at places drawn by a fixed seed."""
    drawn = np.random.default_rng(SEED)
    made = []
    for number in range(count):
        place = int(drawn.integers(len(content)))
        if number % 2:
            made.append(content[:place])
        else:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(drawn.integers(8))
            made.append(bytes(flipped))
    return made


def test_every_flip_and_truncation_is_detected_and_forgotten(folder):
    """40 of 40 damaged copies are refused by name, and the good file gives the vector of before."""
    before = vector(opened(folder))
    path = folder / "square.onnx"
    good = path.read_bytes()
    for damaged in damages(good, 40):
        path.write_bytes(damaged)
        embedder = opened(folder)
        with pytest.raises(ModelUnavailable, match=r"member 'square' cannot be used: .*SHA-256"):
            vector(embedder)
        path.write_bytes(good)
        np.testing.assert_array_equal(vector(embedder), before)


def test_every_damage_to_the_manifest_is_refused(folder):
    """A flipped or cut manifest does not match its own hash, and says so."""
    path = folder / "manifest.json"
    for damaged in damages(path.read_bytes(), 60):
        path.write_bytes(damaged)
        with pytest.raises(ModelUnavailable):
            vector(opened(folder))


def test_missing_files_are_named(folder):
    """An absent member or manifest is said to be absent, without the server's paths."""
    (folder / "tall.onnx").unlink()
    said = refusal(folder)
    assert "member 'tall' cannot be read: No such file" in said
    (folder / "manifest.json").unlink()
    assert "manifest.json cannot be used: No such file" in refusal(folder)
    assert str(folder) not in said


def test_folder_is_not_read_again_at_once(folder):
    """While a release is broken, requests are answered from memory until it is time to look again."""
    path = folder / "tall.onnx"
    good = path.read_bytes()
    path.unlink()
    embedder = OnnxEmbedder(folder, PillowImages().prepare, retry_seconds=3600)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="tall"):
            _ = embedder.ensemble
        path.write_bytes(good)


def test_links_and_strange_files_are_refused(folder, tmp_path):
    """A symbolic link, a folder and a pipe are no model files; a pipe does not hang the service."""
    path = folder / "tall.onnx"
    shutil.move(path, tmp_path / "aside.onnx")
    path.symlink_to(tmp_path / "aside.onnx")
    assert "member 'tall'" in refusal(folder)
    path.unlink()
    path.mkdir()
    assert "member 'tall'" in refusal(folder)
    path.rmdir()
    os.mkfifo(path)
    assert "not a plain file" in refusal(folder)


def test_hard_link_is_only_as_good_as_its_hash(folder, tmp_path):
    """Installers hard-link files, so a link passes; what it leads to must still match the manifest."""
    path = folder / "tall.onnx"
    os.link(path, tmp_path / "same.onnx")
    assert vector(opened(folder)).shape == (1, 16)
    (tmp_path / "same.onnx").write_bytes(tiny_network(9).SerializeToString())
    assert "SHA-256" in refusal(folder)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{absolute}"])
def test_weights_outside_the_hashed_file_are_refused(folder, tmp_path, monkeypatch, location):
    """External data is not covered by the hash: it is refused wherever it lies, even where the service was started."""
    location = location.replace("{absolute}", str(tmp_path / "weights.bin"))
    network = tiny_network()
    weights = network.graph.initializer[0].raw_data
    for place in (tmp_path, folder):
        (place / "weights.bin").write_bytes(weights)
    tensor = network.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(len(weights))}.items():
        tensor.external_data.add(key=key, value=value)
    monkeypatch.chdir(folder)
    replace_member(folder, network.SerializeToString())
    assert "member 'tall' cannot be used" in refusal(folder)


def renamed(old: str, new: str) -> bytes:
    network = tiny_network()
    graph = network.graph
    for port in (*graph.input, *graph.output):
        port.name = new if port.name == old else port.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    return network.SerializeToString()


def resized(*shape: int | str) -> bytes:
    network = tiny_network()
    network.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, shape))
    return network.SerializeToString()


def without_output(name: str) -> bytes:
    network = tiny_network()
    for port in [port for port in network.graph.output if port.name == name]:
        network.graph.output.remove(port)
    return network.SerializeToString()


def with_numbers(value: float) -> bytes:
    network = tiny_network()
    tensor = network.graph.initializer[1]
    tensor.raw_data = np.full(tuple(tensor.dims), value, np.float32).tobytes()
    return network.SerializeToString()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ONNX Runtime cannot load it"),
        (b"not a model", "ONNX Runtime cannot load it"),
        (renamed("images", "pixels"), "its input is not 'images'"),
        (resized("n", 3, 64, 24), "n x 3 x 48 x 24"),
        (resized("n", 3, 48), "ONNX Runtime cannot load it|its input"),
        (resized(8, 3, "h", "w"), "its input"),
        (renamed("embedding", "vector"), "its outputs are not 'embedding' and 'feature_map'"),
        (without_output("feature_map"), "its outputs are not"),
        (tiny_network(dimension=7).SerializeToString(), "did not give 8 finite numbers"),
        (with_numbers(float("nan")), "did not give 8 finite numbers"),
        (with_numbers(float("inf")), "did not give 8 finite numbers"),
    ],
    ids=["empty", "text", "input", "size", "rank", "batch", "output", "no map", "dimension", "nan", "inf"],
)
def test_graph_that_breaks_its_manifest_is_refused(folder, content, said):
    """A file with the right hash must still take and give what the manifest says."""
    replace_member(folder, content)
    message = refusal(folder)
    assert "member 'tall' cannot be used" in message
    assert any(part in message for part in said.split("|"))


def test_vectors_that_turn_bad_in_service_are_no_answer(folder):
    """A picture for which a member gives no finite numbers is refused, never ranked."""

    def overflowing(photograph, recipe, box):
        return np.full((3, recipe.height, recipe.width), np.inf, np.float32)

    embedder = OnnxEmbedder(folder, overflowing)
    with pytest.raises(ModelUnavailable, match="finite"):
        vector(embedder)


def test_picture_of_the_wrong_shape_stops_at_the_skin(folder):
    """ONNX Runtime's own errors never leave the adapter."""
    network = tiny_network()
    network.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 48, 24]))
    replace_member(folder, network.SerializeToString())
    embedder = OnnxEmbedder(folder, lambda _, recipe, __: np.zeros((3, recipe.height + 1, recipe.width), np.float32))
    with pytest.raises(ModelUnavailable, match="failed on a picture"):
        vector(embedder)


def test_model_of_another_format_is_refused(folder):
    """Only ONNX is read: a custom operator or another runtime's file does not load."""
    network = tiny_network()
    network.graph.node[1].op_type = "Unheard"
    replace_member(folder, network.SerializeToString())
    assert "ONNX Runtime cannot load it" in refusal(folder)
    assert onnx.ModelProto.FromString((folder / "tall.onnx").read_bytes()).graph.node[1].op_type == "Unheard"


def test_damage_is_quiet(folder, capfd):
    """A broken model is one error in the log of its caller, not lines of a library on standard error."""
    replace_member(folder, b"\x08\x08\x12\x07not onnx")
    refusal(folder)
    assert capfd.readouterr() == ("", "")
