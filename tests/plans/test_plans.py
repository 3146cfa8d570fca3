"""No statement of a request or a sweep reads more rows because its tenant has more."""

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo

from bench.ledger import BIG_TENANT
from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tenancy.provisioning import NewTenant
from tests.fixtures.database import DatabaseServer
from tests.fixtures.tenants import CODE_KEYS, salon_of
from tests.plans.day import Day
from tests.plans.large_tenant import make_large_tenant
from tests.plans.watch import PlanWatch, Reading

MOST_ROWS = 2_500
"""What one node of a plan may read: a batch and some more. Every table that grows has more rows than that."""
PAGES_OF_A_ROW = 5
"""To look up a row takes a page for each level of the index, and one of the table."""
MOST_PAGES = 40
"""What a scan may read besides: an index of all rows has more pages, also where it gives none of them."""

BY_DESIGN: Mapping[str, str] = {
    "loyalty.storage.erasures.erase_person": "looks through keys, refunds and returns, once for each erasure",
    "loyalty.storage.reports.sum_by_kind": "a report adds up what it covers",
    "loyalty.storage.reports.count_active_customers": "a report adds up what it covers",
    "loyalty.storage.narrowed.count": "counts a list where a caller asks for it, up to a ceiling",
    "loyalty.storage.tiers.count_customers": "counts the customers of each tier, for people who run the program",
    "loyalty.storage.jobs.count_open_accounts": "once for each change of tiers, for the progress of its job",
}
"""Who sends a statement that reads more where there is more, and why that is right."""

NOT_EXPLAINED: Mapping[str, str] = {
    "loyalty.storage.frozen_program.read_former_programs": "by key, only after the settings were changed",
    "loyalty.storage.programs.create_program": "written once for each tenant, by the owner's role",
    "loyalty.storage.tenants.advance_clock": "one row by its key, and only in a sandbox",
    "tenancy.database.tenant_transaction": "the snapshot that a verification shares",
}
"""Who sends a statement that the day has no place for, and why it need not be explained."""

NEVER_IN_A_REQUEST = frozenset(
    {
        "loyalty.storage.tenant_export",  # An operator's command that reads everything once.
        "tenancy.platform",  # The platform's own tables, in a process without requests of tenants.
        "tenancy.provisioning",  # The owner's role, once for each tenant.
        "tenancy.startup",  # Asked once when a process starts.
    }
)

FOLDERS = ("loyalty/storage", "loyalty/ledger", "tenancy")
STORAGE = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.py"))]
"""The proof is left out: `treue verify` proves the whole ledger, and the API refuses that for a large one."""


@pytest.fixture(scope="module")
def large_urls(database_server: DatabaseServer, template_database: str) -> Iterator[DatabaseUrls]:
    """A database whose largest tenant has 10,000 customers and 100,000 entries."""
    name, urls = database_server.create(template_database)
    make_large_tenant(make_conninfo(database_server.admin_url, dbname=name))
    yield urls
    database_server.drop(name)


@pytest.fixture(scope="module")
async def watched(large_urls: DatabaseUrls) -> PlanWatch:
    """All that is sent on one day of the large tenant."""
    # Reads go through the pool here, where their plans can be asked for; the statements are the same.
    app, relay = Database(large_urls.app, pool_size=4, read_connections=0), Database(large_urls.relay, pool_size=2)
    tenant_id = TenantId(UUID(BIG_TENANT))
    salon = salon_of(NewTenant(tenant_id, "The big one", "EUR", "Europe/Berlin", "de"))
    watch = PlanWatch()
    try:
        with watch.watching(relay.engine):
            await Day(World(app, codes=CODE_KEYS), relay, salon).live()
    finally:
        await app.close()
        await relay.close()
    return watch


def test_nothing_reads_more_for_a_larger_tenant(watched: PlanWatch) -> None:
    """Neither by a scan that throws rows away, nor by a sort of all that is there."""
    growing = sorted(
        {
            f"{sent.by}: {reading}"
            for sent in watched.sent
            for reading in sent.readings or ()
            if _grows(reading) and sent.by not in BY_DESIGN
        }
    )
    assert not growing, "\n".join(growing)


def test_what_is_said_to_read_more_does(watched: PlanWatch) -> None:
    """An exception that is none any more leaves the list."""
    growing = {sent.by for sent in watched.sent for reading in sent.readings or () if _grows(reading)}
    assert growing >= BY_DESIGN.keys()


def test_every_statement_of_the_storage_was_explained(watched: PlanWatch) -> None:
    """Whoever adds one adds a step to the day."""
    explained = {sent.by for sent in watched.sent if sent.readings is not None}
    statements = {id(sent.statement) for sent in watched.sent if sent.readings is not None}
    missing = [
        f"{function} sends {name}"
        for module, function, name in _sendings()
        if function not in NOT_EXPLAINED
        and (function not in explained or not all(id(one) in statements for one in _constants(module, name)))
    ]
    assert not missing, "\n".join(missing)


def _grows(reading: Reading) -> bool:
    most_pages = MOST_PAGES + PAGES_OF_A_ROW * max(reading.rows, reading.loops)
    return reading.rows > MOST_ROWS or reading.pages > most_pages


def _sendings() -> Iterator[tuple[ModuleType, str, str]]:
    """Every place in the storage that sends a statement: its module, the function, and the name of the statement."""
    for path in STORAGE:
        name = ".".join(path.with_suffix("").parts)
        if name in NEVER_IN_A_REQUEST:
            continue
        module = importlib.import_module(name)
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.AsyncFunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and _sends(call):
                        yield module, f"{name}.{function.name}", ast.unparse(call.args[0])


def _sends(call: ast.Call) -> bool:
    return (
        bool(call.args)
        and re.fullmatch(r"(tx\.(rows|row|run)|connection\.execute|conversation\.ask)", ast.unparse(call.func))
        is not None
    )


def _constants(module: ModuleType, name: str) -> list[Any]:
    """The statements of a module that a name stands for: one, or all of a mapping; none for one that is built there."""
    found = getattr(module, name.partition("[")[0], None)
    return list(found.values()) if isinstance(found, Mapping) else [] if found is None or callable(found) else [found]
