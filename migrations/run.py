"""Bring a database to the newest revision; used by `treue migrate`, the demo and the tests alike."""

from pathlib import Path

from alembic import command
from alembic.config import Config

HERE = Path(__file__).parent


def upgrade(owner_url: str, revision: str = "head") -> None:
    """Run all revisions that a database lacks, as the role that owns the tables."""
    command.upgrade(alembic_config(owner_url), revision)


def alembic_config(owner_url: str) -> Config:
    """Alembic's configuration, without a file: everything is said here."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["owner_url"] = owner_url
    return config
