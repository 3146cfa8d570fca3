from sqlalchemy import event
from uuid_utils.compat import uuid7

from loyalty.rules.errors import IdempotencyConflict
from loyalty.rules.platform import OPERATOR
from loyalty.services.tenant import CreatedTenant, TenantRequest, create_tenants
from loyalty.services.world import World
from tenancy.database import Database


async def test_tenants_that_are_known_are_read_in_one_statement(relay_database: Database) -> None:
    """A retry of a whole batch is answered with the tenants, without reading each again."""
    world = World(relay_database)
    requests = [TenantRequest("Salon", "EUR", "Europe/Berlin", external_id=f"salon-{uuid7()}") for _ in range(3)]
    created = await create_tenants(world, OPERATOR, requests)
    other = requests[0]._replace(name="Another salon")
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    engine = relay_database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        again = await create_tenants(world, OPERATOR, [*requests, other])
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(sent) == 1, sent
    assert [one.replayed for one in created if isinstance(one, CreatedTenant)] == [False] * 3
    assert again[:3] == [one._replace(replayed=True) for one in created if isinstance(one, CreatedTenant)]
    assert isinstance(again[3], IdempotencyConflict)
