"""Whatever happens to the index's files is found by verify, and healed by refresh with the same answers as before."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.adapters.faiss_index import FaissIndex
from app.adapters.faiss_manifest import Manifest, decode, encode
from app.domain.partition import Scope
from app.domain.ports import Neighbours, Snapshot
from tests.fakes_index import FakeSource, made_source, unit_vectors

SOURCE = made_source(count=90, years=2)


def answers(snapshot: Snapshot) -> list[Neighbours]:
    scopes = [Scope(), Scope(years=frozenset({2019, 2020})), Scope(without_encounters=frozenset(range(0, 500, 3)))]
    queries = unit_vectors(20, 8, seed=1)
    return [snapshot.search("body", queries, scope.select(snapshot.gallery).mask, 20) for scope in scopes]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one generation of SOURCE, never touched again."""
    folder = tmp_path_factory.mktemp("made") / "index"
    FaissIndex(folder).refresh(SOURCE)
    return folder


@pytest.fixture(scope="module")
def before(made):
    """What the sound index answers."""
    return answers(FaissIndex(made).refresh(SOURCE))


@pytest.fixture
def folder(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "index"))


def assert_found_and_healed(folder: Path, index: FaissIndex, before: list[Neighbours]) -> None:
    """Verify names a fault and changes nothing; a refresh heals it; a new process then finds nothing to complain of."""
    files = {path.name: path.read_bytes() for path in folder.glob("*")}
    assert index.verify(SOURCE) != []
    assert {path.name: path.read_bytes() for path in folder.glob("*")} == files
    for healed in (index.refresh(SOURCE), FaissIndex(folder).refresh(SOURCE)):
        for mine, sound in zip(answers(healed), before, strict=True):
            assert (mine.annotations == sound.annotations).all()
            np.testing.assert_allclose(mine.cosines, sound.cosines, atol=1e-6)
        assert (healed.gallery.individual == SOURCE.gallery().individual).all()
    assert FaissIndex(folder).verify(SOURCE) == []


def chosen(folder: Path, draw: random.Random) -> Path:
    """Any file of the index, manifests as often as all others together."""
    kind = draw.choice(["*.rows", "*.json"])
    return draw.choice(sorted(path for path in folder.glob(kind) if path.stat().st_size))


def manifest_of(folder: Path) -> Manifest:
    return decode(next(folder.glob("generation-*.json")).read_bytes())


def rewrite(folder: Path, manifest: Manifest) -> None:
    (folder / f"generation-{manifest.generation:06d}.json").write_bytes(encode(manifest))


@pytest.mark.parametrize("seed", range(24))
def test_a_flipped_bit_is_found_and_healed(folder: Path, before: list[Neighbours], seed: int):
    """One bit anywhere, in rows or manifest, that FAISS or JSON might have loaded; half the times under a server."""
    draw, index = random.Random(seed), FaissIndex(folder)
    if seed % 2:
        index.refresh(SOURCE)
    path = chosen(folder, draw)
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    assert_found_and_healed(folder, index, before)


@pytest.mark.parametrize("seed", range(8))
def test_a_truncated_file_is_found_and_healed(folder: Path, before: list[Neighbours], seed: int):
    """Cut anywhere, to nothing at all as well; every second time something else was appended."""
    draw = random.Random(seed)
    path = chosen(folder, draw)
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))] if seed % 2 else content + bytes(draw.randrange(1, 99)))
    assert_found_and_healed(folder, FaissIndex(folder), before)


def lose_a_partition(folder: Path) -> None:
    (folder / f"{manifest_of(folder).partitions[0].file.sha256}.rows").unlink()


def lose_the_manifest(folder: Path) -> None:
    next(folder.glob("generation-*.json")).unlink()


def lose_everything(folder: Path) -> None:
    shutil.rmtree(folder)


def swap_two_files(folder: Path) -> None:
    first, second = (folder / f"{entry.file.sha256}.rows" for entry in manifest_of(folder).partitions[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def swap_two_entries(folder: Path) -> None:
    """Every hash is right, but two partitions hold each other's rows."""
    manifest = manifest_of(folder)
    first, second, *others = manifest.partitions
    swapped = (replace(second, stamp=first.stamp), replace(first, stamp=second.stamp))
    rewrite(folder, replace(manifest, partitions=(*swapped, *others)))


def wrong_count(folder: Path) -> None:
    manifest = manifest_of(folder)
    first, *others = manifest.partitions
    rewrite(folder, replace(manifest, partitions=(replace(first, count=first.count + 1), *others)))


def wrong_dimension(folder: Path) -> None:
    manifest = manifest_of(folder)
    rewrite(folder, replace(manifest, partitions=tuple(replace(p, dimension=4) for p in manifest.partitions)))


def other_fingerprint(folder: Path) -> None:
    manifest = manifest_of(folder)
    partitions = [replace(p, stamp=p.stamp._replace(fingerprint="f0")) for p in manifest.partitions]
    rewrite(folder, replace(manifest, spaces={"body": "f0"}, partitions=tuple(partitions)))


def other_signature(folder: Path) -> None:
    manifest = manifest_of(folder)
    first, *others = manifest.partitions
    old = replace(first, stamp=first.stamp._replace(signature="before an edit"))
    rewrite(folder, replace(manifest, partitions=(old, *others)))


def other_version(folder: Path) -> None:
    rewrite(folder, replace(manifest_of(folder), catalogue_version=0))


def missing_entry(folder: Path) -> None:
    manifest = manifest_of(folder)
    rewrite(folder, replace(manifest, partitions=manifest.partitions[1:]))


def other_gallery(folder: Path) -> None:
    """The same annotations and vectors under other names, as after the same photographs were imported anew."""
    shutil.rmtree(folder)
    renamed = [replace(one, individual=one.individual + 1) for one in SOURCE.shown.values()]
    FaissIndex(folder).refresh(FakeSource(SOURCE.spaces, {one.annotation: one for one in renamed}, SOURCE.edits))


def other_number(folder: Path) -> None:
    path = next(folder.glob("generation-*.json"))
    path.rename(folder / "generation-000009.json")


def other_format(folder: Path) -> None:
    path = next(folder.glob("generation-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))


def other_catalogue(folder: Path) -> None:
    """A sound folder of the same ensemble and version, but of another survey."""
    shutil.rmtree(folder)
    FaissIndex(folder).refresh(made_source(count=70, years=2, seed=5))


CASES = [
    lose_a_partition,
    lose_the_manifest,
    lose_everything,
    swap_two_files,
    swap_two_entries,
    wrong_count,
    wrong_dimension,
    other_fingerprint,
    other_signature,
    other_version,
    missing_entry,
    other_gallery,
    other_number,
    other_format,
    other_catalogue,
]


@pytest.mark.parametrize("damage", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("running", [False, True], ids=["restarted", "running"])
def test_missing_stale_and_foreign_files_are_found_and_healed(
    folder: Path, before: list[Neighbours], damage: Callable[[Path], None], running: bool
):
    """Files that are sound by themselves but not the right ones, met by a new process and by one that serves."""
    index = FaissIndex(folder)
    if running:
        index.refresh(SOURCE)
    damage(folder)
    assert_found_and_healed(folder, index, before)


def test_generations_grow_after_the_folder_was_lost(folder: Path):
    """A client that saw a generation never sees a smaller one of the same process."""
    index = FaissIndex(folder)
    before = index.refresh(SOURCE).generation
    shutil.rmtree(folder)
    assert index.refresh(SOURCE).generation > before


def test_a_damaged_manifest_costs_no_rebuild(folder: Path):
    """The generation before it still vouches for every partition that did not change."""
    source = made_source(count=90, years=2)
    index = FaissIndex(folder)
    source.remove(10)
    index.refresh(source)
    (folder / "generation-000002.json").write_bytes(b"{}")
    source.reads.clear()
    assert FaissIndex(folder).refresh(source).generation == 3
    assert len(source.reads) <= 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "0" * 63, "G" * 64, ""])
def test_a_file_name_that_is_no_hash_is_refused(folder: Path, name: str):
    """A manifest that names files elsewhere is not a manifest, whatever its own hash says."""
    manifest = manifest_of(folder)
    first, *others = manifest.partitions
    stray = replace(first, file=replace(first.file, sha256=name))
    with pytest.raises(ValueError, match="SHA-256"):
        decode(encode(replace(manifest, partitions=(stray, *others))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("generation", "catalogue_version", "spaces", "gallery", "partitions", "sha256"), JSON)
)


@given(st.binary() | PARTS.map(lambda raw: json.dumps(raw).encode()))
@example(b"[" * 100_000)
@settings(max_examples=60)
def test_any_other_bytes_are_no_manifest(content: bytes):
    """The reader says so, and knows no other way to fail."""
    with pytest.raises(ValueError):  # noqa: PT011 - which ValueError does not matter, that it is one does
        decode(content)
