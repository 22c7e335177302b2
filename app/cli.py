"""The command line: the same services as the HTTP door, with tables for people and ``--json`` for machines."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import cli_show as show
from app import cli_store
from app.bootstrap import bootstrap, make_survey
from app.cli_calibrate import calibrate
from app.cli_curate import annotation_app, duplicates
from app.cli_evaluate import PROFILE, contest, evaluate, scenarios_app
from app.cli_jobs import jobs_app, worker
from app.cli_options import JSON_WANTED, Data, Json, open_services
from app.cli_vectors import vectors
from app.config import read_settings, settings_page
from app.domain.catalogue import Viewpoint
from app.domain.errors import ResightError
from app.domain.formats import SheetFormat
from app.domain.partition import Scope
from app.domain.profiles import MATCHING, REVIEW, VERIFIED, profile_named
from app.domain.question import MAX_PHOTOGRAPHS, GroupBy, MatchRequest
from app.domain.survey import SurveyPlan
from app.telemetry import set_up_logging
from app.web import shapes


class Commands(TyperGroup):
    """All commands: an error that was raised on purpose, or one of a disk, is told in sentences and exits with 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ResightError as error:
            show.failed(error, as_json=bool(ctx.meta.get(JSON_WANTED)))
        except BrokenPipeError:
            raise
        except OSError as error:
            show.broken(error)
        raise typer.Exit(2)


# Without torch a command that trains would only fail: it is not listed, and the help says what is missing.
_TRAINS = find_spec("torch") is not None
_NO_TRAINING = "Training (train, adapt, export, pretrained) is not installed: pip install 'resight\\[train]' adds it."

app = typer.Typer(
    name="resight",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=None if _TRAINS else _NO_TRAINING,
)


def _day(text: str) -> Any:
    return typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help=text)


def _several(text: str, least: int | None = None, most: int | None = None) -> Any:
    return typer.Option(help=f"{text} May be given more than once.", min=least, max=most)


def _date(given: datetime | None) -> date | None:
    return given.date() if given else None


app.command()(calibrate)
app.command()(evaluate)
app.command()(contest)
app.add_typer(scenarios_app)
app.add_typer(jobs_app)
app.add_typer(annotation_app)
app.command()(duplicates)
app.command()(worker)
app.command()(vectors)
app.add_typer(cli_store.app)


@app.callback()
def resight() -> None:
    """Photo-ID for people who recognise animals by their marks."""


@app.command()
def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the service."""
    import uvicorn

    from app.main import create_app

    settings = read_settings(data=data, host=host, port=port)
    set_up_logging(as_json=settings.log_json, level=settings.log_level)
    uvicorn.run(
        create_app(bootstrap(settings), settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
    )


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(help="A folder with metadata.csv, the sheet itself, a ZIP of both, or s3://bucket/prefix.")
    ],
    kind: Annotated[
        SheetFormat | None, typer.Option("--format", help="Kind of sheet; by default what its header says.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything, write nothing.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Import a catalogue: every fault is told with row and column before anything is written."""
    services = open_services(data)
    with show.waiting("checking the sheet", quiet=json):
        name = source if source.startswith("s3://") else f"path:{Path(source).resolve()}"
        plan = services.planning.plan(name, kind)
    if dry_run:
        with show.Bar("opening photographs", quiet=json) as bar:
            trial = services.planning.try_out(plan, bar.at)
        show.planned(shapes.plan_answer(plan, trial).model_dump(mode="json"), as_json=json)
        return
    import_id = services.jobs.run(lambda: services.planning.begin(plan))
    with show.Bar("importing", quiet=json) as bar:
        report = services.jobs.run(lambda: services.ingest.run(import_id, bar.at))
    show.imported(report, services.duplicates.of_import(report), as_json=json)


@app.command()
def match(
    photographs: Annotated[list[Path] | None, typer.Argument(help="Photographs of the animal to recognise.")] = None,
    annotation: Annotated[list[str] | None, _several("Instead, or beside them: a catalogued image_id.")] = None,
    viewpoint: Annotated[list[Viewpoint] | None, _several("The side seen, for all or for each of them.")] = None,
    date: Annotated[datetime | None, _day("When it was taken; by default what its file says.")] = None,
    viewpoints: Annotated[list[Viewpoint] | None, _several("A viewpoint to search; all by default.")] = None,
    years: Annotated[list[int] | None, _several("A year to search; all by default.", 1, 9999)] = None,
    since: Annotated[datetime | None, _day("Search from this day on.")] = None,
    until: Annotated[datetime | None, _day("Search up to this day.")] = None,
    exclude_encounters: Annotated[list[str] | None, _several("An encounter to leave out.")] = None,
    exclude_individuals: Annotated[list[str] | None, _several("An individual to leave out.")] = None,
    exclude_annotations: Annotated[list[str] | None, _several("An annotation to leave out, by its image_id.")] = None,
    exclude_own_encounter: Annotated[
        bool, typer.Option("--exclude-own-encounter", help="Leave out the annotation's own encounter.")
    ] = False,
    group_by: Annotated[GroupBy, typer.Option(help="What a line stands for.")] = GroupBy.ANNOTATION,
    profile: Annotated[str, typer.Option(help=f"{PROFILE} Or {VERIFIED.name}.")] = REVIEW.name,
    limit: Annotated[int, typer.Option(help="How many candidates.")] = 20,
    data: Data = None,
    json: Json = False,
) -> None:
    """Find the annotations that look most like one animal's photographs; the options are the fields of POST /match."""
    services = open_services(data)
    services.reindex.catch_up()
    number = services.browse.annotation_id
    request = MatchRequest(
        photographs=tuple(path.read_bytes() for path in (photographs or ())[: MAX_PHOTOGRAPHS + 1]),
        annotation_ids=tuple(number(name) for name in annotation or ()),
        viewpoints=tuple(viewpoint or ()),
        names=tuple(path.name for path in photographs or ()),
        captured=_date(date),
        scope=Scope(
            viewpoints=frozenset(viewpoints or Viewpoint),
            years=frozenset(years or ()) or None,
            since=_date(since),
            until=_date(until),
            without_annotations=frozenset(number(name) for name in exclude_annotations or ()),
        ),
        without_encounters=frozenset(exclude_encounters or ()),
        without_individuals=frozenset(exclude_individuals or ()),
        without_own_encounter=exclude_own_encounter,
        limit=limit,
        group_by=group_by,
        profile=profile_named(profile, MATCHING),
    )
    answer = shapes.match_answer(request, services.match(request))
    show.answered(answer.model_dump(mode="json"), as_json=json)


@app.command()
def reindex(
    force: Annotated[
        bool, typer.Option("--force", help="Switch also to an ensemble that lost in stored evaluations.")
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Embed what the ensemble in force has not seen yet, and build the index from the stored vectors."""
    services = open_services(data)
    with show.Bar("embedding", quiet=json) as bar:
        snapshot = services.jobs.run(lambda: services.reindex(lambda done: bar.at(done, 0), force=force))
    show.indexed(snapshot, as_json=json)


@app.command()
def settings() -> None:
    """Print every setting with its environment variable, default and meaning."""
    typer.echo(settings_page(), nl=False)


@app.command()
def survey(
    folder: Annotated[Path, typer.Argument(help="Where to write it, in the contest's format.")],
    individuals: Annotated[int, typer.Option(help="How many animals to make up.")] = 24,
    photographs: Annotated[int, typer.Option(help="How many photographs of them.")] = 360,
    years: Annotated[int, typer.Option(help="Over how many years.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same survey.")] = 0,
    longest: Annotated[int, typer.Option(help="Longest side of a photograph, in pixels.")] = 384,
) -> None:
    """Write a synthetic survey: made-up animals with persistent marks, for demos and load tests."""
    plan = SurveyPlan(individuals=individuals, photographs=photographs, years=years, seed=seed, longest=longest)
    with show.Bar("drawing", quiet=False) as bar:
        for done in make_survey(plan, folder):
            bar.at(done, photographs)
    show.console.print(f"{photographs} synthetic photographs of {individuals} made-up animals in {folder}")


@app.command()
def demo(
    catalogue: Annotated[Path | None, typer.Option(help="A catalogue of your own instead of a synthetic one.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its files.")] = Path(".demo"),
    port: Annotated[int, typer.Option(help="Port to listen on; another one when it is taken.")] = 8000,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the demo's service.")] = False,
) -> None:
    """Make or import a catalogue, start the service and match one photograph through its HTTP door."""
    from app import cli_demo

    if stop:
        cli_demo.stop(folder)
    else:
        cli_demo.run(folder, catalogue, port)


def main() -> None:
    """The entry point, with the commands of installed packages beside the service's own."""
    for command in entry_points(group="resight.commands") if _TRAINS else ():
        with suppress(ImportError):  # a package half taken away must not take the service with it
            app.add_typer(command.load(), name=None)
    app()
