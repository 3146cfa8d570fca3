"""The newest revision of this release, told without alembic: a process that serves need not load it."""

from pathlib import Path

VERSIONS = Path(__file__).parent / "versions"


def newest_revision() -> str:
    """The number of the newest revision. Revisions are numbered, and their files begin with the number."""
    return max(path.name[:4] for path in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))
