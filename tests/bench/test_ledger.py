"""The measurements measure something only while what they build is a ledger that adds up."""

import psycopg
from psycopg.conninfo import make_conninfo

from bench.ledger import BIG_TENANT, STEPS, Builder, build
from loyalty.services.verification import verify_ledger
from loyalty.services.world import World
from migrations.run import upgrade
from tenancy.database import Database
from tenancy.provisioning import list_tenants
from tests.fixtures.database import DatabaseServer


async def test_the_ledger_that_is_measured_adds_up(database_server: DatabaseServer) -> None:
    """Whatever is added to the tables or to the invariants, the builder has to follow."""
    builder = Builder.of(entries=4_000, entries_per_customer=2 * len(STEPS), small_share=10)
    name, urls = database_server.create()
    try:
        upgrade(urls.owner)
        admin_url = make_conninfo(database_server.admin_url, dbname=name)
        build(admin_url, builder)
        app, relay = Database(urls.app, pool_size=1), Database(urls.relay, pool_size=1)
        entries = 0
        for one in await list_tenants(relay):
            verification = await verify_ledger(World(app), one.tenant_id)
            assert "\n".join(map(str, verification.differences)) == ""
            entries += verification.entries
        await app.close()
        await relay.close()
        with psycopg.connect(admin_url) as admin:
            (of_the_big_one,) = admin.execute(
                "SELECT count(*) FROM entries WHERE tenant_id = %s", [BIG_TENANT]
            ).fetchone() or (0,)
    finally:
        database_server.drop(name)
    assert entries == 4_000
    assert of_the_big_one == 3_600
