"""Commands about jobs: follow, pause, resume and cancel them, and run them."""

from __future__ import annotations

import json as json_module
import time
from typing import Annotated

import typer
from rich.table import Table

from app import cli_show as show
from app.cli_options import Data, Json, open_services
from app.config import read_settings
from app.domain.jobs import Job, JobKind, JobState
from app.telemetry import set_up_logging
from app.web.schemas_jobs import job_answer

_LOOK = 1.0

jobs_app = typer.Typer(name="jobs", no_args_is_help=True, help="List, follow, pause, resume and cancel jobs.")

JobId = Annotated[str, typer.Argument(help="The id of the job, as `resight jobs list` shows it.")]


@jobs_app.command("list")
def list_jobs(
    state: Annotated[list[JobState] | None, typer.Option(help="Only jobs in this state; may be repeated.")] = None,
    kind: Annotated[list[JobKind] | None, typer.Option(help="Only jobs of this kind; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="How many jobs, newest first.")] = 50,
    data: Data = None,
    json: Json = False,
) -> None:
    """Jobs, newest first."""
    found = open_services(data).jobs.jobs(kinds=kind or [], states=state or [], limit=limit)
    if json:
        _print([job_answer(job).model_dump(mode="json") for job in found])
        return
    table = Table(box=None)
    for title in ("job", "state", "done", "of", "a second", "started", "reason"):
        table.add_column(title, overflow="fold")
    for job in found:
        rate = f"{job.rate:.1f}" if job.rate else "-"
        table.add_row(
            job.job_id,
            job.state,
            str(job.done),
            str(job.total),
            rate,
            f"{job.started:%Y-%m-%d %H:%M}",
            job.reason or "",
        )
    show.console.print(table)


@jobs_app.command("show")
def show_job(job_id: JobId, data: Data = None, json: Json = False) -> None:
    """Where one job stands."""
    _told(open_services(data).jobs.job(job_id), as_json=json)


@jobs_app.command()
def watch(job_id: JobId, data: Data = None, json: Json = False) -> None:
    """Follow a job to its end; exits with 1 when it fails or is cancelled."""
    jobs = open_services(data).jobs
    with show.Bar(job_id, quiet=json) as bar:
        while not (job := jobs.job(job_id)).state.ended:
            bar.at(job.done, job.total)
            time.sleep(_LOOK)
    _told(job, as_json=json)
    if job.state is not JobState.DONE:
        raise typer.Exit(1)


@jobs_app.command()
def pause(job_id: JobId, data: Data = None, json: Json = False) -> None:
    """Take a job out of the queue after its present step, until it is resumed."""
    _told(open_services(data).jobs.pause(job_id), as_json=json)


@jobs_app.command()
def resume(job_id: JobId, data: Data = None, json: Json = False) -> None:
    """Put a paused job back into the queue: it goes on where it was."""
    _told(open_services(data).jobs.resume(job_id), as_json=json)


@jobs_app.command()
def cancel(job_id: JobId, data: Data = None, json: Json = False) -> None:
    """End a job after its present step; what it has done stays done."""
    _told(open_services(data).control.cancel(job_id), as_json=json)


def worker(data: Data = None) -> None:
    """Run jobs in this process, for a service with RESIGHT_JOBS=worker; stands by while another process does."""
    from app.bootstrap import bootstrap
    from app.worker import work

    settings = read_settings(data=data)
    set_up_logging(as_json=settings.log_json, level=settings.log_level)
    work(bootstrap(settings))


def _told(job: Job, *, as_json: bool) -> None:
    if as_json:
        _print(job_answer(job).model_dump(mode="json"))
        return
    left = f", {job.seconds_left:.0f} s left" if job.seconds_left is not None else ""
    why = f": {job.reason}" if job.reason else ""
    show.console.print(f"{job.job_id} {job.state}: {job.done} of {job.total}{left}{why}", highlight=False, markup=False)


def _print(content: object) -> None:
    show.console.file.write(json_module.dumps(content, indent=1) + "\n")
