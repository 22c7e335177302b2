"""Commands that look after the data folder itself: verify, backup, restore."""

from __future__ import annotations

import json as texts
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app import bootstrap_store, cli_show
from app.cli_options import Data, Json
from app.config import Settings, read_settings
from app.domain.backup import BackupReceipt
from app.services.verify import Verification
from app.telemetry import set_up_logging

app = typer.Typer()


@app.command()
def verify(data: Data = None, json: Json = False) -> None:
    """Compare originals, vectors and index with the catalogue; mends nothing, exits with 1 when something is wrong."""
    with cli_show.Bar("reading every original", quiet=json) as bar:
        found = bootstrap_store.verification(_settings(data))(bar.at)
    _verified(found, as_json=json)
    if not found.sound:
        raise typer.Exit(1)


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(help="Folder of the backup; one that holds a backup is brought up to date.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Back up catalogue, originals and waiting uploads while the service runs; exits with 1 when one is damaged."""
    with cli_show.Bar("copying originals", quiet=json) as bar:
        receipt = bootstrap_store.backup(_settings(data), out)(bar.at)
    _told(receipt, "copied now, the others were there", as_json=json)
    if receipt.lacking:
        raise typer.Exit(1)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder of a complete backup.")],
    target: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder to fill: empty, or not there yet.")],
    json: Json = False,
) -> None:
    """Fill an empty data folder from a backup, build its index and verify it; exits with 1 when something is wrong."""
    settings = _settings(target)
    with cli_show.Bar("restoring originals", quiet=json) as bar:
        receipt = bootstrap_store.restore(settings, source)(bar.at)
    bootstrap_store.index(settings)
    found = bootstrap_store.verification(settings)()
    if json:
        _print(_plain(receipt) | {"verification": asdict(found) | {"sound": found.sound}})
    else:
        _told(receipt, "restored", as_json=False)
        _verified(found, as_json=False)
    if receipt.lacking or not found.sound:
        raise typer.Exit(1)


def _told(receipt: BackupReceipt, done: str, *, as_json: bool) -> None:
    if as_json:
        _print(_plain(receipt))
        return
    _warn(receipt.lacking)
    made = f"backup of {receipt.created:%Y-%m-%d %H:%M:%S} UTC"
    counts = f"{receipt.originals} originals ({receipt.copied} {done}), {len(receipt.uploads)} files of uploads"
    cli_show.console.print(f"{made}: {counts}", highlight=False)


def _verified(found: Verification, *, as_json: bool) -> None:
    if as_json:
        _print(asdict(found) | {"sound": found.sound})
        return
    _warn((*found.ensemble, *found.storage, *found.index, *found.originals))
    _warn(found.unreferenced)
    _warn(f"{count} annotations lack a vector in the space {space}" for space, count in found.lacking.items() if count)
    mend = "not sound: `resight reindex` mends the index, never the originals"
    cli_show.console.print("sound" if found.sound else mend)


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        cli_show.console.print(sentence, style="yellow", markup=False, highlight=False)


def _plain(receipt: BackupReceipt) -> dict[str, Any]:
    return asdict(receipt) | {"created": receipt.created.isoformat()}


def _print(answer: dict[str, Any]) -> None:
    cli_show.console.file.write(texts.dumps(answer, indent=1) + "\n")


def _settings(data: Path | None) -> Settings:
    settings = read_settings(data=data)
    set_up_logging(as_json=settings.log_json, level="WARNING")
    return settings
