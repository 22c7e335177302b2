"""Settings: one frozen class, read from the environment (``RESIGHT_...``) or a ``.env`` file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

RELEASED = Path(__file__).resolve().parent.parent / "models" / "released"
DEFAULT_ENSEMBLE = "imagenet-lite-trio"


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
    max_waiting: int = Field(32, ge=1, description="Matches answered or waiting at a time; beyond that: 503.")
    log_json: bool = Field(default=False, description="Log lines as JSON.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @property
    def catalogue_url(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{(self.data / 'catalogue.sqlite').resolve()}"

    @property
    def ensemble_folder(self) -> Path:
        """The folder of the ensemble's manifest."""
        named = RELEASED / self.ensemble
        return named if named.is_dir() else Path(self.ensemble)


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
