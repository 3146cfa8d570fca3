"""The checks of a process before it serves: its role cannot see over the wall, and its tables exist."""

import asyncio

import structlog
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tenancy.database import Database
from tenancy.outage import is_passing, log_failure

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.clusters")

NEIGHBOUR_SECONDS = 1.5
"""The time limit for the checks of a cluster beside the home cluster. After it the others are served without it."""

_STANDING = text(
    """
    SELECT current_user AS role, r.rolsuper, r.rolbypassrls,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('server_version_num')::int AS version,
           EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
                     AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS owns_tables,
           (SELECT string_agg(quote_literal(m.rolname), ', ' ORDER BY m.rolname) FROM pg_roles m
            WHERE (m.rolsuper OR m.rolbypassrls) AND m.rolname <> current_user
              AND pg_has_role(current_user, m.oid, 'MEMBER')) AS powerful_roles
    FROM pg_roles r WHERE r.rolname = current_user
    """,
)

_REVISION = text("SELECT version_num FROM alembic_version")

OLDEST_POSTGRESQL = 150_000
ANY_REVISION = ""
"""Every revision is at least this one."""


class UnsafeDatabaseRole(Exception):
    """The process refuses to start: with this role or setting the wall or the ledger is not safe."""


async def refuse_unsafe_role(database: Database) -> None:
    """Refuse to start as superuser, owner of tables or BYPASSRLS, with asynchronous commits, or on an old server."""
    async with database.plain_transaction() as connection:
        standing = (await connection.execute(_STANDING)).one()
    reasons = [
        reason
        for wrong, reason in (
            (standing.rolsuper, "it is a superuser, and superusers ignore row-level security"),
            (standing.rolbypassrls, "it has BYPASSRLS"),
            (
                standing.powerful_roles and not standing.rolsuper,
                f"it may become {standing.powerful_roles}, who can see over the wall",
            ),
            (standing.owns_tables, "it owns tables, so it could switch their row-level security off"),
            (standing.synchronous_commit == "off", "synchronous_commit does not wait for the disk"),
            (standing.version < OLDEST_POSTGRESQL, "PostgreSQL is older than 15"),
        )
        if wrong
    ]
    if reasons:
        message = f"The database role {standing.role!r} is refused: {'; '.join(reasons)}."
        raise UnsafeDatabaseRole(message)


class OldTables(Exception):
    """The database has not been migrated to the revision that this release needs."""


async def refuse_old_tables(database: Database, newest_revision: str) -> None:
    """Refuse a database at an older revision than this release needs.

    A newer one is right: migrations come before servers. Raises OldTables. Revisions are numbers of four digits, so
    they are compared as texts.
    """
    try:
        async with database.plain_transaction() as connection:
            found = (await connection.execute(_REVISION)).scalar_one_or_none()
    except ProgrammingError:  # the table does not exist yet, or an older revision does not let this role read it
        found = None
    if found is None or found < newest_revision:
        raise OldTables(
            f"The database is at revision {found or 'unknown'}, {newest_revision} is needed: treue migrate."
        )


async def refuse_unready(database: Database, newest_revision: str = ANY_REVISION) -> None:
    """Refuse a process if a cluster has a wrong role, setting or revision, or if the home cluster is away.

    If another cluster is away, it is logged, and only its own tenants are not served. Raises UnsafeDatabaseRole,
    OldTables, and the errors of the home cluster.
    """
    home, *others = database.clusters.items()
    await _refuse_unfit(home[1], newest_revision)
    await asyncio.gather(*(refuse_unfit_neighbour(name, cluster, newest_revision) for name, cluster in others))


async def _refuse_unfit(cluster: Database, newest_revision: str) -> None:
    """Refuse a cluster with a wrong role, setting or revision, and one that is away."""
    await refuse_unsafe_role(cluster)
    if newest_revision != ANY_REVISION:
        await refuse_old_tables(cluster, newest_revision)


async def refuse_unfit_neighbour(name: str, cluster: Database, newest_revision: str = ANY_REVISION) -> None:
    """Refuse a cluster beside the home cluster with a wrong role, setting or revision.

    If it is away, it is only logged.
    """
    try:
        async with asyncio.timeout(NEIGHBOUR_SECONDS):
            await _refuse_unfit(cluster, newest_revision)
    except Exception as error:
        if not is_passing(error):
            raise
        log_failure(log, "cluster is away", error, cluster=name)
