"""A client that sends a request again after an upgrade of the server gets the first answer.

`releases/` holds what two earlier releases wrote, named by the revision of their tables: the rows of a tenant, and the
GraphQL requests that made them, with their answers. The code of those releases recorded both.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from loyalty.rules.ids import TenantId
from loyalty.services.verification import verify_ledger
from loyalty.services.world import World
from migrations.run import upgrade
from permissions.roles import Role
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.root import treue_schema
from tenancy.database import Database
from tests.fixtures.database import DatabaseServer
from tests.fixtures.feeds import NoFeed
from tests.fixtures.tenants import staff_actor
from tests.schema.test_statements import no_signer

RELEASES = sorted((Path(__file__).parent / "releases").glob("*.json"))
UNTIMED_LIFE = "purchase-104"
"""It was paid, called off and completed, and no report told its time."""

WRITABLE = "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'"
"""The columns of a table that the database does not compute."""


class Sent(NamedTuple):
    """One request of a client, and what the earlier release answered."""

    operation: str
    document: str
    input: Mapping[str, Any]
    answer: Mapping[str, Any]

    @property
    def is_ambiguous(self) -> bool:
        """Whether it may be sent again by mistake or on purpose, and nothing in it tells which."""
        return self.input.get("externalId") == UNTIMED_LIFE and self.input["status"] == "CANCELLED"


class Upgraded(NamedTuple):
    """A tenant of an earlier release whose database was migrated, and what its clients sent before."""

    database: Database
    tenant_id: TenantId
    treue: ExecutableSchema
    sent: Sequence[Sent]

    @property
    def world(self) -> World:
        """What use cases reach in a process that has just started."""
        return World(self.database)

    async def send_again(self, request: Sent) -> Any:
        """Return the answer of this release to a request."""
        services = Services(self.world, NoFeed(), no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
        result = await self.treue.execute(
            request.document,
            variable_values={"input": request.input},
            context_value=Context(services, staff_actor(self.tenant_id, Role.OWNER), "request"),
        )
        assert result.errors is None, (result.errors, request)
        assert result.data is not None
        return result.data[request.operation]


def _insert_rows(owner: psycopg.Connection[Any], release: Mapping[str, Any]) -> None:
    """Write the rows of a release, parents before children."""
    owner.execute("SELECT set_config('app.tenant_id', %s, false)", [release["tenant_id"]])
    for table, rows in release["rows"].items():
        columns = owner.execute(WRITABLE, [table]).fetchall()
        owner.execute(
            sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM json_populate_recordset(NULL::{0}, %s)").format(
                sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for (name,) in columns)
            ),
            [json.dumps(rows)],
        )


@pytest.fixture(scope="module", params=RELEASES, ids=lambda path: path.stem)
async def upgraded(request: pytest.FixtureRequest, database_server: DatabaseServer) -> AsyncIterator[Upgraded]:
    """Provide what a release left, migrated to the newest revision.

    The tests share it: requests sent again change nothing.
    """
    release = json.loads(request.param.read_text("utf-8"))
    documents = release["documents"]
    sent = [Sent(one["operation"], documents[one["operation"]], one["input"], one["answer"]) for one in release["sent"]]
    with database_server.lend() as urls:
        upgrade(urls.owner, release["revision"])
        with psycopg.connect(urls.owner, autocommit=True) as owner:
            _insert_rows(owner, release)
        upgrade(urls.owner)
        database = Database(urls.app, pool_size=2, name="treue-upgraded")
        yield Upgraded(database, TenantId(release["tenant_id"]), treue_schema(), sent)
        await database.close()


async def _count_entries(upgraded: Upgraded) -> int:
    verification = await verify_ledger(upgraded.world, upgraded.tenant_id)
    assert "\n".join(map(str, verification.differences)) == ""
    return verification.entries


def _flatten(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what was answered to each item of a request."""
    yield from answer.get("results") or [answer]


async def test_requests_of_an_earlier_release_are_replayed(upgraded: Upgraded) -> None:
    """F-36: no report and no operation counts again, whichever fingerprint the earlier release gave it."""
    entries = await _count_entries(upgraded)
    again = [(one, await upgraded.send_again(one)) for one in upgraded.sent if not one.is_ambiguous]
    news = [
        (sent.operation, sent.input, answer)
        for sent, whole in again
        for answer in _flatten(whole)
        if answer["userErrors"] or not answer["replayed"]
    ]
    assert news == []
    assert len(again) > 30
    assert await _count_entries(upgraded) == entries


async def test_replays_name_what_the_earlier_release_made(upgraded: Upgraded) -> None:
    """The ids of purchases, adjustments, holds and redemptions stay."""
    parts = ("purchase", "adjustment", "hold", "redemption", "merge", "openingBalance")
    for sent in upgraded.sent:
        if sent.is_ambiguous:
            continue
        answers = zip(_flatten(sent.answer), _flatten(await upgraded.send_again(sent)), strict=True)
        for first, again in answers:
            for part in parts:
                if part in first:
                    assert again[part]["id"] == first[part]["id"]


async def test_an_untimed_report_that_may_be_new_is_refused(upgraded: Upgraded) -> None:
    """Paid, called off and completed, then called off again without a time: it is neither swallowed nor counted."""
    entries = await _count_entries(upgraded)
    (request,) = [one for one in upgraded.sent if one.is_ambiguous]
    answer = await upgraded.send_again(request)
    assert [error["code"] for error in answer["userErrors"]] == ["AMBIGUOUS_REPORT"]
    assert await _count_entries(upgraded) == entries
