"""The training commands, beside the service's own: train, adapt, export, pretrained, recipes.

The service's command finds them by their entry point. Torch is imported by a command when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.domain.errors import InvalidInput, ResightError
from models.recipe import FOLDER, Recipe, find_recipe

if TYPE_CHECKING:
    from models.train import Report

app = typer.Typer(help="Train members on a catalogue, adapt, export and release them.", no_args_is_help=True)
_console = Console()

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        "--catalogue",
        help="A folder in the contest's format: metadata.csv and its photographs (both names mean the same).",
    ),
]
Cache = Annotated[Path, typer.Option(help="Where prepared photographs are kept.")]
Out = Annotated[Path, typer.Option(help="The folder to write.")]
Whitening = Literal["none", "variance", "encounters"]
_CACHE, _RUNS = Path(".data/training"), Path("runs")


@app.command()
def recipes() -> None:
    """List the recipes that come with Resight."""
    for path in sorted(FOLDER.glob("*.toml")):
        recipe = find_recipe(str(path))
        height, width = recipe.input.stages[-1]
        typer.echo(f"{path.stem:28} {recipe.net.backbone:20} {height} x {width}  {recipe.loss.kind}")


@app.command()
def train(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    recipe: Annotated[str, typer.Argument(help="A recipe's name or file.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; by default runs/RECIPE, with seed and fold.")
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0.001, help="End after this time, whatever the epochs.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    fold: Annotated[int | None, typer.Option(min=0, help="The fold to keep back, from 0.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Begin with the backbone of this checkpoint or state dict, not ImageNet's.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; by default every core.")] = None,
    cache: Cache = _CACHE,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Begin again in a folder that holds a run.")] = False,
) -> None:
    """Train one member by a recipe.

    Without a folds.csv that keeps something back, a fifth of the individuals is kept back for validation.
    """
    with _faults():
        import torch

        from models import curves
        from models.dataset import kept_back, read_photographs
        from models.memory import keep_memory
        from models.scoring import write_scores
        from models.train import Bounds, Trainer
        from models.validation import pack_for

        keep_memory()
        if threads:
            torch.set_num_threads(threads)
        wanted = _altered(find_recipe(recipe), epochs, seed, fold, weights)
        altered = [f"{what}{value}" for what, value in (("seed", seed), ("fold", fold)) if value is not None]
        folder = out or _RUNS / "-".join([wanted.name, *altered])
        photographs = read_photographs(data)
        held = kept_back(photographs, wanted.folds) & (photographs.individuals >= 0)
        whales = len(set(photographs.individuals[held].tolist()))
        typer.echo(f"kept back for validation: {held.sum()} of {len(held)} photographs, of {whales} individuals")
        bounds = Bounds(folder, cache, hours, resume, anew=anew)
        trainer = Trainer(wanted, photographs, pack_for(photographs, wanted.folds), bounds)

        def told(report: Report) -> None:
            pooled = report.rows[-1] if report.rows else None
            score = (
                f", mAP@20 {pooled.any_match.map20:.3f}, other encounter {pooled.other_encounter.map20:.3f}"
                if pooled
                else ""
            )
            _console.print(f"epoch {report.epoch}: {report.progress:.0%}, loss {report.loss:.4f}{score}")
            write_scores(folder, report.rows)

        with _bar(wanted.name) as tick:
            trainer.run(told, lambda progress: tick(round(progress * 1000), 1000))
        curves.draw(curves.read(folder), folder / curves.PICTURE)
        typer.echo(f"the run is in {folder}")


def _altered(recipe: Recipe, epochs: int | None, seed: int | None, fold: int | None, weights: Path | None) -> Recipe:
    """The recipe with what the command line says instead; a fold of its own is one by individual."""
    folds, schedule, net = recipe.folds, recipe.schedule, recipe.net
    if fold is not None:
        if fold >= folds.count:
            raise InvalidInput(f"there is no fold {fold}: the recipe divides into {folds.count}, from 0")
        kind = folds.kind if folds.kind == "within-individual" else "by-individual"
        folds = folds.model_copy(update={"kind": kind, "fold": fold})
    if epochs is not None:
        schedule = schedule.model_copy(update={"epochs": epochs})
    if weights is not None:
        net = net.model_copy(update={"weights": weights})
    chosen = recipe.seed if seed is None else seed
    return recipe.model_copy(update={"folds": folds, "schedule": schedule, "net": net, "seed": chosen})


@app.command()
def pretrained(
    data: Data,
    out: Out,
    name: Annotated[str, typer.Option(help="The release's name.")] = "imagenet-whitened",
    training_data: Annotated[
        str, typer.Option(help="What the whitening is fitted on, with its licence where it asks to be cited.")
    ] = "the photographs of one catalogue",
    cache: Cache = _CACHE,
) -> None:
    """Release the packaged ImageNet nets, each whitened on the photographs of a catalogue, labelled or not."""
    with _faults(), _bar("embedding") as tick:
        from models.workshop import release_pretrained

        ensemble = release_pretrained(data, out, cache, tick, name=name, fitted_on=training_data)
    typer.echo(f"{ensemble.name} with {len(ensemble.members)} members is in {out}")


@app.command()
def export(  # noqa: PLR0913 - each is an option of the command line
    runs: Annotated[list[Path], typer.Argument(help="Checkpoints: best.pt or last.pt of one run each.")],
    data: Data,
    out: Out,
    name: Annotated[str, typer.Option(help="The release's name.")] = "own",
    licence: Annotated[str, typer.Option(help="The licence of the weights.")] = "not stated",
    training_data: Annotated[str, typer.Option(help="What they were trained on.")] = "not stated",
    whitening: Annotated[
        Whitening,
        typer.Option(help="Fold a whitening in: of all variance, or of that across encounters."),
    ] = "none",
    *,
    components: Annotated[int, typer.Option(min=8, help="The longest that a whitened vector may be.")] = 512,
    also_at: Annotated[list[str] | None, typer.Option(help="HEIGHTxWIDTH: look at this size as well.")] = None,
    weight: Annotated[list[float] | None, typer.Option(min=0.01, help="A weight for each run, in their order.")] = None,
    cache: Cache = _CACHE,
    int8: Annotated[bool, typer.Option("--int8", help="Eight-bit convolutions: quicker, a space of its own.")] = False,
) -> None:
    """Export trained members to ONNX and release them together."""
    with _faults(), _bar("embedding") as tick:
        from models.release import Title
        from models.ship import ExportPlan, Levelling
        from models.workshop import release_runs

        title = Title(name, "1", licence, training_data)
        if weight and len(weight) != len(runs):
            raise InvalidInput(f"{len(weight)} weights for {len(runs)} runs: give one for each, or none")
        sizes = tuple(_size(text) for text in also_at or ())
        plan = ExportPlan(Levelling(whitening), components, int8, sizes, tuple(weight or ()))
        ensemble = release_runs(runs, data, out, title, cache, plan, tick)
    typer.echo(f"{ensemble.name} with {len(ensemble.members)} members is in {out}")


@app.command()
def adapt(
    ensemble: Annotated[Path, typer.Option(help="The released ensemble to adapt.")],
    out: Out,
    vectors: Annotated[
        Path | None, typer.Option(help="What `resight vectors` wrote of the service's catalogue: nothing is embedded.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "--catalogue", help="Or a folder in the contest's format, which is embedded."),
    ] = None,
    name: Annotated[str, typer.Option(help="The new release's name.")] = "adapted",
    cache: Cache = _CACHE,
) -> None:
    """Fit a linear head on each member of an ensemble: in seconds, on vectors that the service has stored."""
    with _faults():
        from models.workshop import release_adapted, release_from_stored

        if (vectors is None) == (data is None):
            raise InvalidInput("give --vectors or --data: either what the service has stored, or a folder to embed")
        if vectors is not None:
            adapted = release_from_stored(vectors, ensemble, out, name)
        elif data is not None:
            with _bar("embedding") as tick:
                adapted = release_adapted(data, ensemble, out, name, cache, tick)
    typer.echo(f"{adapted.name} with {len(adapted.members)} members is in {out}")


@app.command()
def pack(
    recipes: Annotated[list[str], typer.Argument(help="Recipes by name or file: their ImageNet weights go along.")],
    data: Data,
    out: Out,
    longest: Annotated[int, typer.Option(min=64, help="Longest side of the photographs, in pixels.")] = 384,
) -> None:
    """Write a compact copy of a catalogue, to be trained on where there is a GPU."""
    with _faults(), _bar("packing") as tick:
        from models.several import pack as write

        size = write(data, [find_recipe(name) for name in recipes], out, longest=longest, progress=tick)
    typer.echo(f"{out} holds {size / 2**20:.1f} MiB")


@app.command()
def train_several(
    recipes: Annotated[list[str], typer.Argument(help="Recipes by name or file.")],
    packed: Annotated[Path, typer.Option(help="A folder that `pack` wrote.")],
    out: Out,
    hours: Annotated[float | None, typer.Option(min=0.001, help="Time for all together.")] = None,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last call was stopped.")] = False,
) -> None:
    """Train several members one after the other; each leaves a float16 checkpoint for `export`."""
    with _faults():
        from models.several import train_several as train_all

        def told(name: str, report: Report) -> None:
            _console.print(f"{name}: epoch {report.epoch}, {report.progress:.0%}, loss {report.loss:.4f}")

        for path in train_all(packed, [find_recipe(name) for name in recipes], out, hours, told, resume=resume):
            typer.echo(f"{path} holds {path.stat().st_size / 2**20:.1f} MiB")


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no size: give HEIGHTxWIDTH, as in 256x104")
    return int(height), int(width)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except ResightError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except ModuleNotFoundError as error:
        typer.echo(f"error: {error.name} is not installed; training needs: pip install 'resight[train]'", err=True)
        raise typer.Exit(2) from error


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


if __name__ == "__main__":
    app()
