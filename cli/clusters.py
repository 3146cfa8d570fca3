"""Open the clusters of an installation for a command: one database, or several with the directory of tenants."""

from collections.abc import Mapping
from typing import Any, Literal

from runtime.problems import SetupProblem
from runtime.roles import DatabaseUrls
from tenancy.clusters import Clusters
from tenancy.database import HOME, Database

Role = Literal["app", "relay", "owner"]


def open_database(clusters: Mapping[str, DatabaseUrls], role: Role, **options: Any) -> Database:
    """Open the database of one role; ``options`` are those of `Database`.

    Each of several clusters gets as many connections.
    """
    fenced = len(clusters) > 1
    databases = {name: Database(getattr(urls, role), **options, fenced=fenced) for name, urls in clusters.items()}
    home = databases.pop(HOME)
    return Clusters(home, databases) if databases else home


def urls_of(clusters: Mapping[str, DatabaseUrls], name: str) -> DatabaseUrls:
    """Return the URLs of one cluster. Raises SetupProblem for a name that the settings do not have."""
    if name not in clusters:
        raise SetupProblem(f"There is no cluster {name!r}: the settings name {', '.join(clusters)}.")
    return clusters[name]
