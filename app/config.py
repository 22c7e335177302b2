"""Settings: one frozen class, read from the environment (``RESIGHT_...``) or a ``.env`` file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.errors import InvalidInput, UnknownEnsemble

RELEASED = Path(__file__).resolve().parent.parent / "models" / "released"
DEFAULT_ENSEMBLE = "beluga-lite-quartet"


class Settings(BaseSettings):
    """Everything that can be set; ``docs/settings.md`` is generated from the descriptions."""

    model_config = SettingsConfigDict(env_prefix="RESIGHT_", env_file=".env", frozen=True, extra="ignore")

    data: Path = Field(Path(".data"), description="Folder of the catalogue, the originals and the index.")
    database_url: str = Field(
        "",
        description="SQLAlchemy URL of the catalogue database; empty: SQLite in the data folder. PostgreSQL works too.",
    )
    ensemble: str = Field(
        DEFAULT_ENSEMBLE, description="Name of a released ensemble, or the path of a folder with a manifest.json."
    )
    import_root: Path | None = Field(
        None, description="Folder under which the service may import by name; none: only uploads are taken."
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on. There is no sign-in yet: keep it on the loopback."
    )
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    threads: int = Field(0, ge=0, description="Threads for embedding; 0: one for each processor.")
    max_image_bytes: int = Field(50_000_000, gt=0, description="Largest photograph, in bytes.")
    max_image_pixels: int = Field(40_000_000, gt=0, description="Largest photograph, in pixels.")
    max_archive_bytes: int = Field(2_000_000_000, gt=0, description="Largest uploaded ZIP, in bytes.")
    reserve_bytes: int | None = Field(
        None,
        ge=0,
        description="Free space that imports leave on the disk, in bytes; none: 512 MB or 2 % of it, if that is more.",
    )
    force_ensemble: bool = Field(
        False, description="Switch to the ensemble in force even where stored evaluations say that it loses."
    )
    jobs: Literal["service", "worker"] = Field(
        "service", description="Where jobs run: in the service itself, or only in `resight worker`."
    )
    jobs_database_url: str = Field(
        "",
        description="SQLAlchemy URL of the jobs' database; empty: beside the catalogue, or SQLite in the data folder.",
    )
    max_sheet_bytes: int = Field(500_000_000, gt=0, description="Largest sheet of an upload session, in bytes.")
    max_session_bytes: int = Field(500_000_000_000, gt=0, description="Most that an upload session holds, in bytes.")
    upload_days: float = Field(7, gt=0, description="Days after which an idle upload session is forgotten.")
    s3_prefixes: str = Field(
        "",
        description="Prefixes of S3 that may be imported, separated by commas, like `s3://bucket/survey`; none: no S3.",
    )
    s3_endpoint: str = Field(
        "", description="Address of the S3 service; empty: that of AWS. Keys are read as AWS tools do."
    )
    profiles: Path | None = Field(
        None, description="TOML file with ranking profiles of your own (see `ranking.md`); none: the built-in ones."
    )
    max_waiting: int = Field(32, ge=1, description="Matches answered or waiting at a time; beyond that: 503.")
    log_json: bool = Field(default=False, description="Log lines as JSON.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @property
    def catalogue_url(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{(self.data / 'catalogue.sqlite').resolve()}"

    @property
    def jobs_url(self) -> str:
        """The URL of the jobs' database in force."""
        shared = "" if self.database_url.startswith("sqlite") else self.database_url
        return self.jobs_database_url or shared or f"sqlite:///{(self.data / 'jobs.sqlite').resolve()}"

    @property
    def ensemble_folder(self) -> Path:
        """The folder of the ensemble's manifest; raises UnknownEnsemble where there is no such folder."""
        for folder in (RELEASED / self.ensemble, Path(self.ensemble)):
            if self.ensemble and folder.is_dir():
                return folder
        released = ", ".join(sorted(path.parent.name for path in RELEASED.glob("*/manifest.json")))
        raise UnknownEnsemble(f"{self.ensemble!r} is neither a folder nor a released ensemble ({released})")


def read_settings(**given: object) -> Settings:
    """The settings in force, where what is ``given`` and not None goes before the environment.

    Raises InvalidInput with one line for each fault.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**chosen)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"{_name(fault['loc'][0], chosen)}: {fault['msg']}" for fault in error.errors(include_url=False)]
        raise InvalidInput("\n".join(lines)) from error


def _name(setting: int | str, chosen: Collection[str]) -> str:
    """A setting as its reader wrote it: as an option or as an environment variable."""
    return f"--{setting}" if setting in chosen else f"RESIGHT_{str(setting).upper()}"


def settings_page() -> str:
    """The page ``docs/settings.md``: every setting with its environment variable, default and meaning."""
    lines = [
        "# Settings",
        "",
        "Read from the environment or a `.env` file. This page is what `resight settings` prints.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, setting in Settings.model_fields.items():
        default = "" if setting.default in {None, ""} else f"`{setting.default}`"
        lines.append(f"| `RESIGHT_{name.upper()}` | {default} | {setting.description} |")
    return "\n".join(lines) + "\n"
