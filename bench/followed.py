"""Measure what followed logs cost a process while nothing happens in them, and no hint comes.

make bench-followed                       300 logs for 10 seconds
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import time
from typing import Any

from uuid_utils.compat import uuid7

from api.live import EventHub
from bench.service import OPTIONS, database_cpu_seconds, make_folder, postmaster_of
from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from migrations.run import upgrade
from runtime.postgres import EmbeddedPostgres
from runtime.roles import prepare_database
from tenancy.database import Database

SETTLE_SECONDS = 5.0


async def measure(url: str, logs: int, seconds: float, postmaster: int) -> dict[str, float]:
    """Follow so many logs for so many seconds. Return the share of a core that this process and PostgreSQL take."""
    database = Database(url, name="bench-followed")
    hub = EventHub(World(database))
    tenants = [TenantId(uuid7()) for _ in range(logs)]
    waiting = [asyncio.ensure_future(anext(hub.follow(tenant_id, None), None)) for tenant_id in tenants]
    # Each log is read once when it is followed first.
    await asyncio.sleep(SETTLE_SECONDS)
    if not all(hub.count_followers(tenant_id) for tenant_id in tenants):
        raise RuntimeError("not every log is followed yet")
    own, theirs = time.process_time(), database_cpu_seconds(postmaster)
    await asyncio.sleep(seconds)
    shares = {
        "process_percent": 100 * (time.process_time() - own) / seconds,
        "database_percent": 100 * (database_cpu_seconds(postmaster) - theirs) / seconds,
    }
    await hub.stop()
    await asyncio.gather(*waiting, return_exceptions=True)
    await database.close()
    return {name: round(share, 2) for name, share in shares.items()}


def main() -> None:
    """Start a database, measure, print the result, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=10.0)
    wanted = parser.parse_args()
    folder: Any = make_folder()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = stack.enter_context(EmbeddedPostgres(folder, OPTIONS))
        urls = prepare_database(postgres.admin_url, folder, "treue_bench", adopt_roles=True)
        upgrade(urls.owner)
        print(json.dumps(asyncio.run(measure(urls.app, wanted.logs, wanted.seconds, postmaster_of(postgres)))))
        postgres.remove()


if __name__ == "__main__":
    main()
