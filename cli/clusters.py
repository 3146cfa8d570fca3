"""Open the clusters of an installation for a command: one database, or several with the directory of tenants."""

from collections.abc import Mapping
from typing import Any, Literal

from migrations.newest import newest_revision
from runtime.problems import SetupProblem
from runtime.roles import DatabaseUrls
from tenancy.clusters import Clusters
from tenancy.database import HOME, Database
from tenancy.startup import OldTables, refuse_old_tables

Role = Literal["app", "relay", "owner"]


def open_database(clusters: Mapping[str, DatabaseUrls], role: Role, **options: Any) -> Database:
    """Open the database of one role; ``options`` are those of `Database`.

    If there are several clusters, each gets a pool of its own with these options.
    """
    fenced = len(clusters) > 1
    databases = {name: Database(getattr(urls, role), **options, fenced=fenced) for name, urls in clusters.items()}
    home = databases.pop(HOME)
    return Clusters(home, databases) if databases else home


async def refuse_old_home(database: Database) -> None:
    """Refuse a home cluster without the tables of this release. Raises SetupProblem."""
    try:
        await refuse_old_tables(database.clusters[HOME], newest_revision())
    except OldTables as problem:
        raise SetupProblem(str(problem)) from problem


def urls_of(clusters: Mapping[str, DatabaseUrls], name: str) -> DatabaseUrls:
    """Return the addresses of one cluster. Raises SetupProblem for a name that the settings do not have."""
    if name not in clusters:
        raise SetupProblem(f"There is no cluster {name!r}: the settings name {', '.join(clusters)}.")
    return clusters[name]
