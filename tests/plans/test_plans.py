"""No statement of a request or a sweep reads more rows because its tenant has more."""

import ast
import importlib
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg
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
from tests.plans.tenant_predicates import find_open_tables, has_other_comparisons, list_mutants, text_of
from tests.plans.watch import PlanWatch, Reading

MOST_ROWS = 2_500
"""What one node of a plan may read: a batch and some more. Every table that grows has more rows than that."""
PAGES_OF_A_ROW = 5
"""To look up a row takes a page for each level of the index, and one of the table."""
MOST_PAGES = 40
"""What a scan may read besides: an index of all rows has more pages, also where it gives none of them."""

BY_DESIGN: Mapping[str, str] = {
    "loyalty.storage.erasures.erase_person": "looks through keys, refunds and returns, once for each erasure",
    "loyalty.storage.figures.count_marked_customers": "reads the span of each customer, for a long range",
    "loyalty.storage.reports.sum_there": "a report at a counter adds up what it covers",
    "loyalty.storage.reports.count_active_there": "a report at a counter adds up what it covers",
    "loyalty.storage.narrowed.count": "counts a list where a caller asks for it, up to a ceiling",
    "loyalty.storage.retention.read_outlook": "counts whom a setting would erase, up to a ceiling",
    "loyalty.storage.tiers.count_customers": "counts the customers of each tier, for people who run the program",
    "loyalty.storage.jobs.count_open_accounts": "once for each change of tiers, for the progress of its job",
}
"""Who sends a statement that reads more where there is more, and why that is right."""

NOT_EXPLAINED: Mapping[str, str] = {
    "loyalty.storage.oidc_issuers.has_issuer": "one row by its key, after a refused call outside of the home cluster",
    "loyalty.storage.programs.create_program": "written once for each tenant, by the owner's role",
    "loyalty.storage.tenants.advance_clock": "one row by its key, and only in a sandbox",
    "tenancy.clusters.claim": "one row by its key, where a tenant outside of the home cluster sets a provider",
}
"""Who sends a statement that the day has no place for, and why it need not be explained."""

NEVER_IN_A_REQUEST = frozenset(
    {
        "loyalty.storage.tenant_export",  # An operator's command that reads everything once.
        "tenancy.moving",  # The owner's role, once for each move of a tenant.
        "tenancy.platform",  # The platform's own tables, in a process without requests of tenants.
        "tenancy.provisioning",  # The owner's role, once for each tenant.
        "tenancy.startup",  # Asked once when a process starts.
    }
)

FOLDERS = ("loyalty/storage", "loyalty/ledger", "tenancy")
STORAGE = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.py"))]
"""The proof is left out: `treue verify` proves the whole ledger, and the API refuses that for a large one."""


OVER_ALL_TENANTS: Mapping[str, str] = {
    "loyalty.storage.due.read_due_tenants": "finds the tenants for which something is due",
    "loyalty.storage.due.read_lateness": "how late the sweeps are, over all tenants",
    "loyalty.storage.events.position_events": "the relay gives positions to the events of all tenants",
    "loyalty.storage.events.read_relay_lag": "how late the relay is, over all tenants",
    "loyalty.storage.jobs.read_due_jobs": "finds the tenants for which a job waits",
    "loyalty.storage.jobs.count_unfinished_jobs": "how many jobs are unfinished, over all tenants",
    "loyalty.storage.log_readers.read_due_logs": "finds the logs that a reader has to go on with",
    "loyalty.storage.log_readers.read_lateness_of_readers": "how late the readers are, over all tenants",
    "loyalty.storage.log_readers.register_readers": "registers the readers in every tenant",
    "tenancy.database.ask_of_followed": "how far the logs reach that somebody follows: of the tenants that it names",
}
"""Who sends a statement that is not about one tenant, never for what a caller reads, and why that is right."""

ALL = os.environ.get("MUTANTS") == "1"
"""Whether `make mutants` runs, which prints what became of each comparison."""


@pytest.fixture(scope="module")
def large_database(database_server: DatabaseServer, template_database: str) -> Iterator[tuple[str, DatabaseUrls]]:
    """Provide the name and the URLs of a database.

    Its largest tenant has 10,000 customers and 100,000 entries.
    """
    name, urls = database_server.create(template_database)
    make_large_tenant(make_conninfo(database_server.admin_url, dbname=name))
    yield name, urls
    database_server.drop(name)


@pytest.fixture(scope="module")
def superuser(
    database_server: DatabaseServer, large_database: tuple[str, DatabaseUrls]
) -> Iterator[psycopg.Connection[Any]]:
    """Provide a connection to it that no wall holds back."""
    name, _ = large_database
    with psycopg.connect(make_conninfo(database_server.admin_url, dbname=name), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
async def watched(large_database: tuple[str, DatabaseUrls]) -> PlanWatch:
    """Provide all that is sent on one day of the large tenant."""
    _, large_urls = large_database
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


def test_every_listed_statement_reads_more_for_a_larger_tenant(watched: PlanWatch) -> None:
    """An exception that is none any more leaves the list."""
    growing = {sent.by for sent in watched.sent for reading in sent.readings or () if _grows(reading)}
    assert growing >= BY_DESIGN.keys()


def test_every_statement_of_the_storage_was_explained(watched: PlanWatch) -> None:
    """A new statement needs a step of the day. An exception that is none any more leaves the list."""
    explained = {sent.by for sent in watched.sent if sent.readings is not None}
    statements = {id(sent.statement) for sent in watched.sent if sent.readings is not None}
    missing = {
        function: f"{function} sends {name}"
        for module, function, name in _sendings()
        if function not in explained or not all(id(one) in statements for one in _constants(module, name))
    }
    assert missing.keys() == NOT_EXPLAINED.keys(), "\n".join(missing.values())


def test_every_statement_compares_the_tenant_of_each_table(
    watched: PlanWatch, superuser: psycopg.Connection[Any]
) -> None:
    """The wall stands behind it all the same, so only a plan without the wall shows a comparison that is missing."""
    open_ = {text: find_open_tables(superuser, text) for text in _texts(watched)}
    senders = _senders(watched)
    by = {sender for text, tables in open_.items() if tables for sender in senders[text]}
    assert by == OVER_ALL_TENANTS.keys()


@pytest.mark.parametrize(
    ("statement", "open_tables"),
    [
        ("SELECT c.id FROM customers c WHERE c.tenant_id = $1::uuid", set()),
        ("SELECT c.id FROM customers c WHERE c.id = $1::uuid", {"customers AS c"}),
        ("SELECT c.id FROM customers c WHERE c.tenant_id = $1::uuid OR c.id = $2::uuid", {"customers AS c"}),
        ("SELECT c.id FROM customers c WHERE NOT c.tenant_id = $1::uuid", {"customers AS c"}),
        (
            "SELECT c.id FROM customers c JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id",
            {"customers AS c", "accounts AS a"},
        ),
        (
            "SELECT c.id FROM customers c JOIN accounts a ON a.customer_id = c.id WHERE c.tenant_id = $1::uuid",
            {"accounts AS a"},
        ),
        (
            "SELECT a.debt FROM customers c LEFT JOIN accounts a USING (tenant_id) WHERE c.tenant_id = $1::uuid",
            set(),
        ),
        (
            "SELECT (SELECT a.debt FROM accounts a WHERE a.customer_id = c.id) FROM customers c WHERE c.tenant_id = $1",
            {"accounts AS a"},
        ),
        ("UPDATE accounts SET debt = 0 WHERE customer_id = $1::uuid", {"accounts AS accounts"}),
        ("DELETE FROM lots WHERE tenant_id = $1::uuid AND id = $2::uuid", set()),
    ],
)
def test_a_plan_shows_which_tables_are_open(
    superuser: psycopg.Connection[Any], statement: str, open_tables: set[str]
) -> None:
    assert find_open_tables(superuser, statement) == open_tables


def test_a_comparison_of_a_tenant_that_is_missing_is_noticed(
    watched: PlanWatch, superuser: psycopg.Connection[Any]
) -> None:
    """Each comparison is dropped by itself, and all of one table together.

    A comparison may follow from two others of its statement. The statement without it says the same, and is not open.
    """
    senders, noticed, implied, survivors = _senders(watched), 0, 0, []
    for text in _texts(watched):
        if senders[text] & OVER_ALL_TENANTS.keys():
            continue
        assert not has_other_comparisons(text), text
        for dropped in list_mutants(text):
            opened = find_open_tables(superuser, dropped.without)
            noticed += bool(opened)
            implied += not opened and dropped.is_one
            if not opened and not dropped.is_one:
                survivors.append(f"{dropped.what}: {text}")
            if ALL:
                verdict = ", ".join(sorted(opened)) or ("implied" if dropped.is_one else "SURVIVES")
                sys.stdout.write(f"{', '.join(sorted(senders[text]))}: {dropped.what}: {verdict}\n")
    if ALL:
        sys.stdout.write(f"{noticed} noticed, {implied} say what others imply, {len(survivors)} survive\n")
    assert not survivors, "\n".join(survivors)
    assert noticed > MANY_COMPARISONS > implied


MANY_COMPARISONS = 500
"""Fewer would mean that comparisons are not found in the texts any more."""


def _texts(watched: PlanWatch) -> list[str]:
    """Return every statement of the day, which a test above compares with those that the storage can send."""
    return sorted({text_of(one.statement) for one in watched.sent if one.statement is not None})


def _senders(watched: PlanWatch) -> dict[str, set[str]]:
    """Return the functions that send each statement."""
    senders: dict[str, set[str]] = defaultdict(set)
    for sent in watched.sent:
        if sent.statement is not None:
            senders[text_of(sent.statement)].add(sent.by)
    return senders


def _grows(reading: Reading) -> bool:
    most_pages = MOST_PAGES + PAGES_OF_A_ROW * max(reading.rows, reading.loops)
    return reading.rows > MOST_ROWS or reading.pages > most_pages


def _sendings() -> Iterator[tuple[ModuleType, str, str]]:
    """Yield every place in the storage that sends a statement.

    A place is the module, the function, and the name of the statement.
    """
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
    """Return the statements of a module that a name stands for.

    It is one statement, or all of a mapping; none if the function builds the statement.
    """
    found = getattr(module, name.partition("[")[0], None)
    return list(found.values()) if isinstance(found, Mapping) else [] if found is None or callable(found) else [found]
