"""Measure what it costs each second to find the tenants with due work: by the time, and tenant by tenant.

    make bench-sweeps                         2,000 tenants, one of them with 500,000 open lots
    make bench-sweeps ARGS="--tenants 10000 --lots 1000000"

Nothing is due, as in most seconds. PostgreSQL measures the times itself (EXPLAIN ANALYZE); the best of several counts.
"""

import argparse
import asyncio
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.service import OPTIONS
from loyalty.services.tenant_sweeps import SWEEP_BY_NAME
from loyalty.storage.due import MAX_ROWS_LOOKED_AT
from migrations.run import upgrade
from runtime.postgres import EmbeddedPostgres
from runtime.roles import prepare_database
from tenancy.database import Database

REPEATS = 9

ROWS = """
    SET session_replication_role = replica;
    INSERT INTO tenants (tenant_id, name, currency, time_zone, locale, state, created_at, sandbox,
                         clock_advance_seconds, allowed_origins, loyalty_entitled, features, document_rule,
                         documents_version)
        SELECT gen_random_uuid(), 'Salon ' || n, 'EUR', 'Europe/Berlin', 'de-DE', 'ACTIVE', now(), false, 0, '[]', true,
               '[]', 'ANY', 0
        FROM generate_series(1, {tenants}) n;
    INSERT INTO lots (tenant_id, id, customer_id, entry_id, state, original, remaining, held, expired, opened_at,
                      expires_at, opened_expires_at, cause_id)
        SELECT tenant_id, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'OPEN', 10, 10, 0, 0, now(),
               now() + interval '1 year', now() + interval '1 year', gen_random_uuid()
        FROM (SELECT tenant_id, row_number() OVER () AS n FROM tenants) t
        CROSS JOIN LATERAL generate_series(1, CASE n WHEN 1 THEN {lots} ELSE 1 END);
    ANALYZE;
"""


async def measure(connection: AsyncConnection, statement: Any) -> tuple[float, int]:
    """Return the milliseconds of a statement, and how many pages it reads; the best of several runs."""
    compiled = statement.compile(dialect=connection.dialect)
    values = compiled.construct_params({"now": datetime.now(UTC), "limit": 100, "rows": MAX_ROWS_LOOKED_AT})
    found = []
    for _ in range(REPEATS):
        asked = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {compiled}"
        (plan,) = (await connection.exec_driver_sql(asked, values)).scalar_one()
        read = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        found.append((plan["Execution Time"], read))
    return min(found)


async def compare(relay_url: str) -> dict[str, Any]:
    """Measure the ways to look for lots that expire. Return milliseconds and pages for each."""
    due = SWEEP_BY_NAME["expiry"].due
    relay = Database(relay_url, pool_size=1, name="bench-relay")
    try:
        async with relay.engine.connect() as connection:
            ways = {"by the time": due.soonest, "tenant by tenant": due.by_tenant}
            measured = {name: await measure(connection, statement) for name, statement in ways.items()}
            whole = await measure(
                connection, text("SELECT DISTINCT tenant_id FROM lots WHERE due_at + '1 second' <= :now")
            )
    finally:
        await relay.close()
    measured["the whole index"] = whole
    return {name: {"ms": ms, "pages": pages} for name, (ms, pages) in measured.items()}


def main() -> None:
    """Build the tables, measure, print, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=2_000)
    parser.add_argument("--lots", type=int, default=500_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="treue-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the account that runs the server for root has to come through
        with EmbeddedPostgres(folder, OPTIONS) as postgres:
            urls = prepare_database(postgres.admin_url, folder, "treue_bench", adopt_roles=True)
            upgrade(urls.owner)
            admin = psycopg.conninfo.make_conninfo(postgres.admin_url, dbname="treue_bench")
            with psycopg.connect(admin, autocommit=True) as connection:
                connection.execute(ROWS.format(tenants=wanted.tenants, lots=wanted.lots))
            print(json.dumps(asyncio.run(compare(urls.relay)), indent=2))
        postgres.remove()


if __name__ == "__main__":
    main()
