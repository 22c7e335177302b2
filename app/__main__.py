"""``python -m app`` is the command ``resight``."""

from app.cli import main

main()
