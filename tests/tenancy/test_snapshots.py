import pytest
from sqlalchemy import text

from loyalty.services.world import World
from tenancy.database import SnapshotId
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import known_customer

COUNT = text("SELECT count(*) FROM customers WHERE tenant_id = :current_tenant")


async def test_another_transaction_can_see_the_same_moment(world: World, salon: Salon) -> None:
    """What was committed since is seen by neither."""
    await known_customer(world, salon, "anna")
    async with world.database.tenant_transaction(salon.tenant_id, snapshot=True) as first:
        snapshot = await first.export_snapshot()
        await known_customer(world, salon, "ben")
        async with world.database.tenant_transaction(salon.tenant_id, snapshot=snapshot) as second:
            assert [row[0] for row in await second.rows(COUNT)] == [1]
        assert [row[0] for row in await first.rows(COUNT)] == [1]
    async with world.database.tenant_transaction(salon.tenant_id) as afterwards:
        assert [row[0] for row in await afterwards.rows(COUNT)] == [2]


async def test_a_shared_moment_opens_no_other_tenant(world: World, salon: Salon, other_salon: Salon) -> None:
    """The wall stands: a snapshot says when, not who."""
    await known_customer(world, salon, "anna")
    async with world.database.tenant_transaction(salon.tenant_id, snapshot=True) as ours:
        snapshot = await ours.export_snapshot()
        async with world.database.tenant_transaction(other_salon.tenant_id, snapshot=snapshot) as theirs:
            assert [row[0] for row in await theirs.rows(text("SELECT count(*) FROM customers"))] == [0]


async def test_a_snapshot_has_a_name_and_nothing_else(world: World, salon: Salon) -> None:
    with pytest.raises(ValueError, match="no name of a snapshot"):
        async with world.database.tenant_transaction(salon.tenant_id, snapshot=SnapshotId("1'; DROP TABLE entries")):
            pass
