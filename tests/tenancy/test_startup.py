"""A process that could see over the wall, or would forget commits, does not start."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import LiteralString, Protocol

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from migrations.newest import newest_revision
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tenancy.startup import OldTables, UnsafeDatabaseRole, refuse_old_tables, refuse_unsafe_role
from tests.fixtures.database import DatabaseServer


class NewRole(Protocol):
    """Makes a login with the given powers; `{other}` in them stands for another role."""

    def __call__(self, powers: LiteralString, other: str = ...) -> str: ...


def url_as(url: str, *, role: str, password: str) -> str:
    """Return the same database, for somebody else."""
    return make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


def role_of(url: str) -> str:
    """Return who comes with this URL."""
    return make_url(url).username or ""


@pytest.fixture
def new_role(database_server: DatabaseServer, own_database_urls: DatabaseUrls) -> Iterator[NewRole]:
    """Provide a function that makes a login with the given powers, and returns its URL of this test's own database."""
    made: list[str] = []
    database = sql.Identifier(make_url(own_database_urls.app).database or "")
    with psycopg.connect(database_server.admin_url, autocommit=True) as admin:

        def make(powers: LiteralString, other: str = "treue_app") -> str:
            role, password = f"treue_test_{secrets.token_hex(6)}", secrets.token_hex(16)
            created = sql.SQL("CREATE ROLE {role} LOGIN PASSWORD {password} " + powers)
            admin.execute(
                created.format(role=sql.Identifier(role), password=sql.Literal(password), other=sql.Identifier(other))
            )
            made.append(role)
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(role)))
            return url_as(own_database_urls.app, role=role, password=password)

        yield make
        # What roles were given in this database goes with it, but they cannot go before.
        database_server.drop(make_url(own_database_urls.app).database or "")
        for role in made:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Database]:
    """Yield a process's connections for the length of a test."""
    database = Database(url, pool_size=1, name="treue-tests-startup")
    try:
        yield database
    finally:
        await database.close()


async def refusal(url: str) -> str:
    """Return why a process does not start with this URL."""
    async with connected(url) as database:
        with pytest.raises(UnsafeDatabaseRole) as refused:
            await refuse_unsafe_role(database)
    return str(refused.value)


async def test_the_application_starts(database_urls: DatabaseUrls) -> None:
    async with connected(database_urls.app) as database:
        await refuse_unsafe_role(database)


async def test_the_relay_starts(database_urls: DatabaseUrls) -> None:
    async with connected(database_urls.relay) as database:
        await refuse_unsafe_role(database)


async def test_the_owner_of_the_tables_is_refused(database_urls: DatabaseUrls) -> None:
    """F-39: who owns a table can switch its row-level security off."""
    said = await refusal(database_urls.owner)
    assert "'treue_owner' is refused" in said
    assert "it owns tables" in said


async def test_a_superuser_is_refused(new_role: NewRole) -> None:
    """F-39: superusers ignore row-level security, even when it is forced."""
    assert "it is a superuser" in await refusal(new_role("SUPERUSER"))


async def test_a_role_with_bypassrls_is_refused(new_role: NewRole) -> None:
    """F-39."""
    said = await refusal(new_role("BYPASSRLS"))
    assert "it has BYPASSRLS" in said
    assert "superuser" not in said


async def test_a_member_of_the_owner_is_refused(new_role: NewRole) -> None:
    assert "it owns tables" in await refusal(new_role("IN ROLE treue_owner"))


async def test_who_may_become_a_superuser_is_refused(new_role: NewRole) -> None:
    """F-39: `SET ROLE` is one statement away."""
    powerful = role_of(new_role("SUPERUSER"))
    assert "may become" in await refusal(new_role("IN ROLE {other}", powerful))


async def test_who_may_become_a_role_with_bypassrls_is_refused(new_role: NewRole) -> None:
    """F-39."""
    powerful = role_of(new_role("BYPASSRLS"))
    assert "may become" in await refusal(new_role("NOINHERIT IN ROLE {other}", powerful))


async def test_commits_that_do_not_wait_for_the_disk_are_refused(
    database_server: DatabaseServer, own_database_urls: DatabaseUrls
) -> None:
    """An acknowledged write that a power cut takes back is a lost purchase."""
    database = sql.Identifier(make_url(own_database_urls.app).database or "")
    with psycopg.connect(database_server.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(database))
    said = await refusal(own_database_urls.app)
    assert said == "The database role 'treue_app' is refused: synchronous_commit does not wait for the disk."


async def test_a_server_is_ready_on_its_own_revision_and_on_a_newer_one(own_database_urls: DatabaseUrls) -> None:
    """A newer one: `treue migrate` ran, and servers of the release before still serve."""
    async with connected(own_database_urls.app) as database:
        await refuse_old_tables(database, newest_revision())
        with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
            owner.execute("UPDATE alembic_version SET version_num = '9999'")
        await refuse_old_tables(database, newest_revision())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE alembic_version SET version_num = '0047'", "0047"),
        ("DELETE FROM alembic_version", "unknown"),
        ("REVOKE SELECT ON alembic_version FROM treue_app", "unknown"),
        ("DROP TABLE alembic_version", "unknown"),
    ],
)
async def test_a_server_is_not_ready_before_its_tables_are_there(
    own_database_urls: DatabaseUrls, change: LiteralString, found: str
) -> None:
    with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
        owner.execute(change)
    async with connected(own_database_urls.app) as database:
        with pytest.raises(OldTables, match=f"is at revision {found}, {newest_revision()} is needed"):
            await refuse_old_tables(database, newest_revision())


async def test_the_platforms_process_is_not_ready_before_its_tables_are_there_either(
    own_database_urls: DatabaseUrls,
) -> None:
    async with connected(own_database_urls.relay) as database:
        await refuse_old_tables(database, newest_revision())
        with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
            owner.execute("UPDATE alembic_version SET version_num = '0047'")
        with pytest.raises(OldTables, match="is at revision 0047"):
            await refuse_old_tables(database, newest_revision())
