"""The command line: the same services as the HTTP door, with tables for people and ``--json`` for machines."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from app import cli_show as show
from app.bootstrap import bootstrap, make_survey
from app.config import Settings, settings_page
from app.domain.catalogue import Viewpoint
from app.domain.errors import ResightError
from app.domain.partition import Scope
from app.domain.survey import SurveyPlan
from app.services.bundle import Services
from app.services.match import GroupBy, MatchRequest
from app.telemetry import set_up_logging

app = typer.Typer(name="resight", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Data = Annotated[Path | None, typer.Option(help="Data folder; by default RESIGHT_DATA, then .data")]


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

    settings = _settings(data=data, host=host, port=port)
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
    source: Annotated[Path, typer.Argument(help="A folder with metadata.csv, the sheet itself, or a ZIP of both.")],
    dry_run: Annotated[bool, typer.Option(help="Check everything, write nothing.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Import a catalogue: every fault is told with row and column before anything is written."""
    services = _services(data)
    plan = services.ingest.plan(f"path:{source.resolve()}", decode=dry_run)
    if dry_run:
        show.planned(plan, as_json=json)
        return
    import_id = services.jobs.run(lambda: services.ingest.begin(plan))
    with show.Bar("importing", quiet=json) as bar:
        report = services.jobs.run(lambda: services.ingest.run(import_id, bar.at))
    show.imported(report, as_json=json)


@app.command()
def match(
    photograph: Annotated[Path | None, typer.Argument(help="The photograph to recognise.")] = None,
    annotation: Annotated[str | None, typer.Option(help="Instead: a catalogued image_id.")] = None,
    viewpoint: Annotated[Viewpoint | None, typer.Option(help="The side seen in the photograph.")] = None,
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When it was taken.")] = None,
    against: Annotated[list[Viewpoint] | None, typer.Option(help="Viewpoints to search; all by default.")] = None,
    year: Annotated[list[int] | None, typer.Option(help="Years to search; all by default.")] = None,
    without_own_encounter: Annotated[bool, typer.Option(help="Leave out the annotation's own encounter.")] = False,
    group_by: Annotated[GroupBy, typer.Option(help="What a line stands for.")] = GroupBy.ANNOTATION,
    limit: Annotated[int, typer.Option(help="How many candidates.")] = 20,
    data: Data = None,
    json: Json = False,
) -> None:
    """Find the catalogued annotations that look most like a photograph."""
    services = _services(data)
    services.reindex.catch_up()
    request = MatchRequest(
        photograph=photograph.read_bytes() if photograph else None,
        annotation_id=services.browse.annotation_id(annotation) if annotation else None,
        viewpoint=viewpoint,
        captured=date.date() if date else None,
        scope=Scope(
            viewpoints=frozenset(against) if against else frozenset(Viewpoint),
            years=frozenset(year) if year else None,
        ),
        without_own_encounter=without_own_encounter,
        limit=limit,
        group_by=group_by,
    )
    show.matched(services.match(request), as_json=json)


@app.command()
def evaluate(
    scenarios: Annotated[Path, typer.Argument(help="A folder with query_scenarios.csv, queries/, databases/.")],
    out: Annotated[Path, typer.Option(help="Where to write the predictions.")] = Path("predictions.csv"),
    predictions: Annotated[Path | None, typer.Option(help="Score this prediction file instead.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure the ranking on scenarios in the contest's format: mAP@20 beside the other-encounter figure."""
    services = _services(data)
    if predictions:
        show.scored(services.evaluate.predictions(scenarios, predictions), as_json=json)
        return
    services.reindex.catch_up()
    show.evaluated(services.evaluate.folder(scenarios, out), out, as_json=json)


@app.command()
def reindex(data: Data = None, json: Json = False) -> None:
    """Embed what the ensemble in force has not seen yet, and build the index from the stored vectors."""
    services = _services(data)
    with show.Bar("embedding", quiet=json) as bar:
        snapshot = services.jobs.run(lambda: services.reindex(lambda done: bar.at(done, 0)))
    show.indexed(snapshot, as_json=json)


@app.command()
def verify(data: Data = None, json: Json = False) -> None:
    """Compare originals, vectors and index with the catalogue; mends nothing, exits with 1 when something is wrong."""
    found = _services(data).reindex.verify()
    show.verified(found, as_json=json)
    if not found.sound:
        raise typer.Exit(1)


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
    """The entry point: adds the commands of installed packages and turns errors into one clear line."""
    for command in entry_points(group="resight.commands"):
        with suppress(ImportError):  # training is an extra: without torch its commands are simply not there
            app.add_typer(command.load(), name=None)
    try:
        app()
    except ResightError as error:
        show.failed(error)
        sys.exit(2)
    except OSError as error:
        sys.exit(f"resight: {error}")


def _settings(**given: object) -> Settings:
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _services(data: Path | None) -> Services:
    settings = _settings(data=data)
    set_up_logging(as_json=settings.log_json, level="WARNING")
    return bootstrap(settings)
