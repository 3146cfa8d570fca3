"""The public payload of an event: names as clients spell them, ids that `node` finds, and nothing left out."""

from dataclasses import fields

import orjson
import pytest

from loyalty.log.events import decode_row
from loyalty.log.reading import list_events
from loyalty.rules.event_codec import EVENT_CLASSES
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.world import World
from schema.context import Context, Services
from schema.queries.viewer import NODE_TYPES
from schema.root import treue_schema
from schema.types.event_payload import NODE_OF_MEMBER, show_payload
from tenancy.database import Database
from tests.fixtures.feeds import NoFeed
from tests.fixtures.tenants import Salon
from tests.loyalty.rules.payloads import read_payloads
from tests.loyalty.services.builders import earn, one_point_per_euro, order, position_all_events
from tests.schema.test_statements import no_signer

PAYLOADS = read_payloads()
KEPT = [(kind, version) for kind in sorted(PAYLOADS) for version in sorted(PAYLOADS[kind], key=int)]
NOT_SHOWN_ALONE = {"archiving_id"}
"""Members that name nothing that a client could ask for."""
READ = """
{ events { nodes { kind version payload customer { id } purchase { id } purchaseStatus
                   purchaseTotal { amount currency } } } }
"""


def test_every_id_of_a_payload_is_a_global_one() -> None:
    named = {field.name for known in EVENT_CLASSES.values() for field in fields(known) if field.name.endswith("_id")}
    assert named - NODE_OF_MEMBER.keys() == NOT_SHOWN_ALONE
    assert NODE_OF_MEMBER.keys() - named == set()
    assert set(NODE_OF_MEMBER.values()) - NODE_TYPES == set()


@pytest.mark.parametrize(("kind", "version"), KEPT)
def test_a_payload_of_each_version_is_shown_whole(kind: str, version: str) -> None:
    stored = PAYLOADS[kind][version]
    shown = show_payload(stored)
    assert shown["version"] == int(version)
    assert len(shown) == len(stored.keys() | {"version", "customer_tier"})
    assert [name for name in shown if "_" in name] == []
    assert shown["account"]["lifetimeEarned"] == stored["account"]["lifetime_earned"]


async def test_a_client_reads_what_was_so_then(world: World, salon: Salon, relay_database: Database) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("a"))
    await position_all_events(relay_database)
    services = Services(world, NoFeed(), no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
    result = await treue_schema().execute(READ, context_value=Context(services, salon.staff, "request"))
    assert result.errors is None
    assert result.data is not None
    (event,) = result.data["events"]["nodes"]
    payload = orjson.loads(event["payload"])
    (row,) = await list_events(world.database, salon.tenant_id, after=0)
    assert event["version"] == payload["version"] == decode_row(row).version == 2
    assert (payload["customerId"], payload["purchaseId"]) == (event["customer"]["id"], event["purchase"]["id"])
    assert event["purchaseStatus"] == payload["purchaseStatus"] == "CREATED"
    assert event["purchaseTotal"] == {"amount": "100.00", "currency": payload["currency"]}
    assert payload["purchaseTotalMinor"] == 10_000
