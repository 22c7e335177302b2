"""Commands that change single annotations, and that show duplicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from app import cli_show as show
from app.cli_options import Data, Json, open_services
from app.domain.catalogue import Viewpoint
from app.domain.cells import parse_box, parse_date, parse_name
from app.domain.curation import Changes, Signature
from app.domain.errors import InvalidInput
from app.services.bundle import Services
from app.services.curate import Outcome
from app.web import shapes_curation as shapes

T = TypeVar("T")

annotation_app = typer.Typer(
    name="annotation", no_args_is_help=True, help="Edit, remove and restore annotations; show their history."
)

ImageId = Annotated[str, typer.Argument(help="The image_id that its sheet gave.")]
Revision = Annotated[int | None, typer.Option(help="Change only this revision; by default the present one.")]
Actor = Annotated[str | None, typer.Option(help="Who makes the change, recorded as said.")]
Reason = Annotated[str | None, typer.Option(help="Why, recorded as said.")]


@annotation_app.command()
def edit(
    image_id: ImageId,
    viewpoint: Annotated[Viewpoint | None, typer.Option(help="The side seen.")] = None,
    date: Annotated[str | None, typer.Option(help="2019, 2019-07, 2019-07-14 or with the time; '' for none.")] = None,
    individual: Annotated[str | None, typer.Option(help="Its individual, made when new; '' for nobody.")] = None,
    encounter: Annotated[str | None, typer.Option(help="Its encounter, made when new; '' for none.")] = None,
    box: Annotated[str | None, typer.Option(help="x,y,width,height in pixels; '' for the whole image.")] = None,
    revision: Revision = None,
    actor: Actor = None,
    reason: Reason = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Change what is said of an annotation; what is not given stays as it is."""
    changes: Changes = {}
    if viewpoint is not None:
        changes["viewpoint"] = viewpoint
    if date is not None:
        changes["captured"] = _read("date", date, parse_date)
    if individual is not None:
        changes["individual"] = _read("individual", individual, parse_name) if individual else None
    if encounter is not None:
        changes["encounter"] = _read("encounter", encounter, parse_name) if encounter else None
    if box is not None:
        changes["box"] = _read("box", box, parse_box)
    if not changes:
        raise InvalidInput("nothing is to change: give at least one of the facts")
    services = open_services(data)
    number, asked = _asked(services, image_id, revision)
    outcome = services.curate.edit(number, changes, revision=asked, signature=Signature(actor, reason))
    _told(outcome, as_json=json)


@annotation_app.command()
def remove(
    image_id: ImageId,
    revision: Revision = None,
    actor: Actor = None,
    reason: Reason = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Take an annotation out of the gallery; its photograph and its past are kept."""
    services = open_services(data)
    number, asked = _asked(services, image_id, revision)
    _told(services.curate.remove(number, revision=asked, signature=Signature(actor, reason)), as_json=json)


@annotation_app.command()
def restore(
    image_id: ImageId,
    revision: Revision = None,
    actor: Actor = None,
    reason: Reason = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Bring a removed annotation back as it was."""
    services = open_services(data)
    number, asked = _asked(services, image_id, revision)
    _told(services.curate.restore(number, revision=asked, signature=Signature(actor, reason)), as_json=json)


@annotation_app.command()
def history(image_id: ImageId, data: Data = None, json: Json = False) -> None:
    """Every change of an annotation, oldest first, also of a removed one."""
    services = open_services(data)
    held = services.curate.named(image_id)
    answer = shapes.history_answer(held, services.curate.history(held.annotation_id)).model_dump(mode="json")
    if json:
        show.print_json(answer)
        return
    for one in answer["changes"]:
        by = f" by {one['actor']}" if one["actor"] else ""
        why = f": {one['reason']}" if one["reason"] else ""
        show.console.print(f"{one['at']} {one['action']}{by}{why}", markup=False)
        for fact, after in one["after"].items():
            if (before := one["before"][fact]) != after:
                show.console.print(f"  {fact}: {before} -> {after}", markup=False)


def duplicates(data: Data = None, json: Json = False) -> None:
    """Groups of nearly the same photographs, and of bursts: they are flagged, never dropped."""
    services = open_services(data)
    services.reindex.catch_up()
    groups = shapes.groups_answer(services.duplicates.groups())
    if json:
        show.print_json(groups)
        return
    for kind, found in groups.items():
        show.console.print(f"{len(found)} groups of {kind.replace('_', '-')}")
        for group in found:
            names = ", ".join(f"{one['source_id']} ({one['individual'] or 'nobody'})" for one in group)
            show.console.print(f"  {names}", markup=False)


def _asked(services: Services, image_id: str, revision: int | None) -> tuple[int, int]:
    """The annotation that is meant, and the revision that is to be changed: the newest unless one is given."""
    held = services.curate.named(image_id)
    return held.annotation_id, held.revision if revision is None else revision


def _read(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidInput(f"--{option}: {error}") from error


def _told(outcome: Outcome, *, as_json: bool) -> None:
    answer = shapes.change_answer(outcome).model_dump(mode="json")
    if as_json:
        show.print_json(answer)
        return
    what = "removed" if answer["removed"] else "in the gallery"
    told = f"annotation {answer['annotation_id']} is {what}, revision {answer['revision']}, {answer['state']}"
    show.console.print(told)
