"""Commands that measure: evaluations, and scenarios from a catalogue of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app import bootstrap_contest
from app import cli_evaluate_show as show
from app.cli_options import Data, Json, open_services
from app.config import read_settings
from app.domain.profiles import CONTEST, PROFILES, profile_named
from app.domain.scenario import ScenarioPack
from app.domain.scenario_kinds import Kind
from app.services.bundle import Services
from app.services.contest import SUBMISSION
from app.services.evaluate import DOCUMENTS
from app.services.evaluate_work import Wanted

PROFILE = f"How candidates are ordered: {', '.join(PROFILES)}, or one of your own."
_OUT = Path("evaluation")

scenarios_app = typer.Typer(name="scenarios", no_args_is_help=True, help="Scenarios from a catalogue of one's own.")


def evaluate(
    scenarios: Annotated[
        Path | None, typer.Argument(help="A folder with query_scenarios.csv, queries/, databases/; none: --built.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for predictions.csv, scores.json and report.html.")] = _OUT,
    built: Annotated[bool, typer.Option("--built", help="Scenarios built from the catalogue itself.")] = False,
    profile: Annotated[str, typer.Option(help=PROFILE)] = CONTEST.name,
    against: Annotated[
        str | None,
        typer.Option(help="An earlier evaluation of this pack, by its id or a folder of another data folder."),
    ] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with an evaluation that was cut short, by its id.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Score this prediction file instead.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure the ranking on scenarios in the contest's format: mAP@20 beside the other-encounter figure."""
    if [scenarios is not None, built, resume is not None].count(True) != 1:
        raise typer.BadParameter("give either a folder of scenarios, --built or --resume")
    services = open_services(data)
    if predictions and scenarios:
        show.scored(services.evaluate.predictions(scenarios, predictions), as_json=json)
        return
    services.reindex.catch_up()
    if resume:
        run_id, against = resume, services.evaluate.work.wanted(resume).against
    else:
        pack, unfilled = _pack(services, scenarios)
        if against and Path(against).is_dir():
            against = services.evaluate.adopt(Path(against))
        run_id = services.evaluate.begin(pack, Wanted(str(scenarios or "built"), profile, against, unfilled))
    with show.Bar("evaluating", quiet=json) as bar:
        evaluation = services.evaluate.run(run_id, bar.at)
    out.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (out / name).write_bytes(services.evaluate.document(run_id, name))
    pairs = services.evaluate.difference(run_id, against) if against else []
    show.evaluated(run_id, evaluation, pairs, out, as_json=json)


def contest(
    folder: Annotated[Path, typer.Argument(help="metadata.csv, images/, query_scenarios.csv, queries/, databases/.")],
    out: Annotated[Path, typer.Argument(help="Folder for submission.csv.")],
    profile: Annotated[str, typer.Option(help=PROFILE)] = CONTEST.name,
    cache: Annotated[Path | None, typer.Option(help="Folder of kept vectors; by default vectors/ in OUT.")] = None,
    json: Json = False,
) -> None:
    """Answer the contest's folder of photographs and scenarios, without a catalogue: writes submission.csv."""
    answer = bootstrap_contest.contest(read_settings(), cache or out / "vectors")
    chosen = profile_named(profile)
    with show.Bar("embedding", quiet=json) as bar:
        found = answer(folder, out, chosen, bar.at)
    show.submitted(found, out / SUBMISSION, as_json=json)


@scenarios_app.command("build")
def build_scenarios(
    out: Annotated[Path, typer.Argument(help="Folder for the pack, in the contest's format.")],
    kind: Annotated[list[Kind] | None, typer.Option(help="A kind of scenario; all by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same scenarios.")] = 0,
    data: Data = None,
    json: Json = False,
) -> None:
    """Build scenarios with both truths from the catalogue, in the contest's format."""
    services = open_services(data)
    built = services.evaluate.built(kind or tuple(Kind), seed=seed)
    services.evaluate.write_pack(out, built.pack)
    show.built(built, out, as_json=json)


def _pack(services: Services, scenarios: Path | None) -> tuple[ScenarioPack, tuple[str, ...]]:
    if scenarios is not None:
        return services.evaluate.pack(scenarios), ()
    built = services.evaluate.built()
    return built.pack, tuple(f"{one.kind}: {one.reason}" for one in built.unfilled)
