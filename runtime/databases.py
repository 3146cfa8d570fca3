"""Which database a process works on: the one named by the environment, or the embedded one."""

import contextlib
from collections.abc import Iterator

from runtime.postgres import EmbeddedPostgres
from runtime.problems import SetupProblem
from runtime.roles import DatabaseUrls, prepare_database, read_stored_urls
from runtime.settings import Settings


@contextlib.contextmanager
def provide_database(settings: Settings, *, prepare: bool = False) -> Iterator[DatabaseUrls]:
    """The URLs for this process. The embedded server, when it is used, runs at least until the block is left.

    In this order: TREUE_APP_URL and TREUE_RELAY_URL (with TREUE_OWNER_URL for who migrates), else DATABASE_URL, else
    the embedded server. `prepare` makes roles and database where they are missing; a process that only serves leaves it
    out, and then needs no administrator: of DATABASE_URL only the server's place counts. The owner's URL is empty
    where nobody is to migrate: without TREUE_OWNER_URL, or on the server of DATABASE_URL without `prepare`.
    """
    if settings.app_url is not None and settings.relay_url is not None:
        if prepare and settings.owner_url is None:
            raise SetupProblem("TREUE_OWNER_URL must be set as well: only the owner of the tables can migrate.")
        yield DatabaseUrls(settings.owner_url or "", settings.app_url, settings.relay_url)
    elif settings.database_url is not None:
        yield _on_named_server(settings, settings.database_url, prepare=prepare)
    else:
        with EmbeddedPostgres(settings.data_dir) as postgres:
            yield prepare_database(postgres.admin_url, settings.data_dir, settings.database_name, adopt_roles=True)


def _on_named_server(settings: Settings, database_url: str, *, prepare: bool) -> DatabaseUrls:
    if prepare:
        return prepare_database(database_url, settings.data_dir, settings.database_name, owner_dir=settings.owner_dir)
    urls = read_stored_urls(database_url, settings.data_dir, settings.database_name)
    if urls is None:
        raise SetupProblem(
            f"{settings.data_dir} holds no passwords for the server of DATABASE_URL: run `treue migrate` first, "
            "or set TREUE_APP_URL and TREUE_RELAY_URL."
        )
    return urls
