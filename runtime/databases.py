"""Find the database of a process, and the URLs of its roles."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.postgres import EmbeddedPostgres
from runtime.problems import SetupProblem
from runtime.roles import (
    APP_ROLE,
    OWNER_ROLE,
    RELAY_ROLE,
    ROLES,
    DatabaseUrls,
    prepare_database,
    read_stored_urls,
)
from runtime.settings import HOME, Settings

URL_SETTINGS = {OWNER_ROLE: "TREUE_OWNER_URL", APP_ROLE: "TREUE_APP_URL", RELAY_ROLE: "TREUE_RELAY_URL"}
FOLDER_SETTINGS = {OWNER_ROLE: "TREUE_OWNER_DIR", APP_ROLE: "TREUE_APP_DIR", RELAY_ROLE: "TREUE_RELAY_DIR"}


@contextlib.contextmanager
def provide_database(settings: Settings, *roles: str, prepare: bool = False) -> Iterator[DatabaseUrls]:
    """Provide the URLs for a process that works as `roles`. The embedded server, if used, runs at least until the end.

    The URLs of single roles come first, then DATABASE_URL, then the embedded server. `prepare` makes missing roles and
    a missing database. A process that only serves leaves it out and needs no administrator: it uses only the server's
    address in DATABASE_URL. If the password of a role is unknown, the role is refused if it is one of `roles`; else its
    URL is empty.
    """
    given = DatabaseUrls(settings.owner_url or "", settings.app_url or "", settings.relay_url or "")
    if any(given):
        _refuse_missing_url(given, roles)
        yield given
    elif settings.database_url is not None:
        yield _on_named_server(settings, settings.database_url, roles, prepare=prepare)
    else:
        with EmbeddedPostgres(settings.data_dir) as postgres:
            yield prepare_database(postgres.admin_url, settings.data_dir, settings.database_name, adopt_roles=True)


@contextlib.contextmanager
def provide_clusters(settings: Settings, *roles: str, prepare: bool = False) -> Iterator[Mapping[str, DatabaseUrls]]:
    """Provide the URLs of all clusters by their names, the home cluster first, as `provide_database` finds it.

    Each other cluster is found in the same way, from its entry of TREUE_CLUSTERS.
    """
    with contextlib.ExitStack() as opened:
        found = {HOME: opened.enter_context(provide_database(settings, *roles, prepare=prepare))}
        for name, cluster in settings.clusters.items():
            said = settings.model_copy(update={**dict(cluster), "clusters": {}})
            try:
                found[name] = opened.enter_context(provide_database(said, *roles, prepare=prepare))
            except SetupProblem as problem:
                raise SetupProblem(f"Cluster {name}: {problem}") from problem
        yield found


def password_folders(settings: Settings) -> Mapping[str, Path]:
    """Return the folders of the roles whose passwords have a folder of their own."""
    folders = {OWNER_ROLE: settings.owner_dir, APP_ROLE: settings.app_dir, RELAY_ROLE: settings.relay_dir}
    return {role: folder for role, folder in folders.items() if folder is not None}


def _refuse_missing_url(given: DatabaseUrls, roles: tuple[str, ...]) -> None:
    for role, url in zip(ROLES, given, strict=True):
        if role in roles and not url:
            raise SetupProblem(f"{URL_SETTINGS[role]} must be set as well: this command works as {role}.")


def _on_named_server(settings: Settings, database_url: str, roles: tuple[str, ...], *, prepare: bool) -> DatabaseUrls:
    folders = password_folders(settings)
    if prepare:
        return prepare_database(database_url, settings.data_dir, settings.database_name, folders=folders)
    urls = read_stored_urls(database_url, settings.data_dir, settings.database_name, folders=folders)
    for role, url in zip(ROLES, urls, strict=True):
        if role in roles and not url:
            raise SetupProblem(
                f"{folders.get(role, settings.data_dir)} holds no password of {role} for the server of DATABASE_URL. "
                "Run `treue migrate` first. If the password is in a folder of its own, name it with "
                f"{FOLDER_SETTINGS[role]}; if another program keeps it, set {URL_SETTINGS[role]}."
            )
    return urls
