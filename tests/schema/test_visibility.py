"""What each kind of reader reads of the sensitive fields, as a printed table, and what a cursor gives away."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import InvalidInput
from loyalty.rules.identifier import Identifier
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.tier_lock import TierLockRequest, lock_tier
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import Permission
from schema.connections import Seal, cursor_of, place_of
from schema.context import EVENT_ORDER, Context, Services
from schema.executable import ExecutableSchema
from schema.node_ids import encode_id
from schema.root import treue_schema
from tests.fixtures.feeds import NoFeed
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOBODY,
    bring_along,
    customer_actor,
    earn,
    give,
    order,
    pay_back,
    set_policy,
)
from tests.schema.test_statements import no_signer

MATRIX = """\
field                      owner  manager  staff  integration  customer  reports  records
Customer.email             told   told     told   told         told      -        denied
Customer.avatarUrl         told   told     told   told         told      -        denied
Customer.birthday          told   told     told   told         told      -        denied
Customer.identifiers       told   told     told   told         told      -        denied
Customer.tags              told   told     told   told         -         -        denied
Customer.category          told   told     told   told         -         -        denied
Adjustment.internalNote    told   told     told   told         -         -        denied
Adjustment.actor           told   told     told   told         STAFF     STAFF    denied
LedgerEntry.note           told   told     told   told         public    public   denied
CustomerMerge.reason       told   told     told   told         -         -        denied
CustomerMerge.actor        told   told     told   told         STAFF     STAFF    denied
TierChange.note            told   told     told   told         -         -        denied
TierChange.actor           told   told     told   told         -         -        denied
PurchaseRefund.reason      told   told     told   told         -         denied   denied
PurchaseFact.recordedBy    told   told     told   told         STAFF     STAFF    denied
AccrualPolicy.matureSlack  told   told     told   told         -         denied   denied
"""
"""`told` is what is stored, `-` is null, `denied` is FORBIDDEN; anything else is what is told instead."""

FIELDS = {
    "Customer.email": "... on Customer { email }",
    "Customer.avatarUrl": "... on Customer { avatarUrl }",
    "Customer.birthday": "... on Customer { birthday }",
    "Customer.identifiers": "... on Customer { identifiers { value } }",
    "Customer.tags": "... on Customer { tags }",
    "Customer.category": "... on Customer { category }",
    "Adjustment.internalNote": "... on Adjustment { internalNote }",
    "Adjustment.actor": "... on Adjustment { actor }",
    "LedgerEntry.note": "... on LedgerEntry { note }",
    "CustomerMerge.reason": "... on CustomerMerge { reason }",
    "CustomerMerge.actor": "... on CustomerMerge { actor }",
    "TierChange.note": "... on Customer { tierHistory { note } }",
    "TierChange.actor": "... on Customer { tierHistory { actor } }",
    "PurchaseRefund.reason": "... on Purchase { refunds { reason } }",
    "PurchaseFact.recordedBy": "... on Purchase { history { recordedBy } }",
    "AccrualPolicy.matureSlack": "... on Program { accrual { matureSlack } }",
}
STORED = {
    "told",
    "1990-05-17",
    "told@example.com",
    "https://example.com/told",
    "PT1H17M",
    "staff:manager",
    "staff:integration",
}
NAMES = {"The manager", "The integration"}


@pytest.fixture(scope="module")
def treue() -> ExecutableSchema:
    """Provide the whole API."""
    return treue_schema()


@pytest.fixture
async def stored(world: World, salon: Salon) -> tuple[CustomerId, Mapping[str, str]]:
    """Provide a customer with something in every sensitive field, and the global ids of what holds the fields."""
    profile = CustomerProfile(
        *("anna", None, "told@example.com", "https://example.com/told"),
        category="told",
        birthday="1990-05-17",
        identifiers=(Identifier("CARD", "told"),),
        tags=("told",),
    )
    await set_policy(world, salon, slack_minutes=77)
    recorded = await earn(world, salon, order("order-1", 10_000, customer=profile))
    adjusted = await give(world, salon, 5, "gift", internal_note="told", customer_description="public")
    await pay_back(world, salon, "order-1", 1_000, "a part", reason="told")
    await bring_along(world, salon, 5, customer="old")
    names = (CustomerKey(external_id="old"), CustomerKey(external_id="anna"))
    merged = await merge_customers(world, salon.manager, MergeRequest(*names, "told", "merge"))
    locked = TierLockRequest(CustomerKey(external_id="anna"), None, None, "told", "lock")
    await lock_tier(world, salon.manager, locked)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        statement = text("SELECT id FROM entries WHERE tenant_id = :current_tenant AND reference_id = :adjustment")
        (entry,) = await tx.rows(statement, adjustment=adjusted.adjustment.id)
    ids: dict[str, UUID] = {
        "Customer": recorded.customer.id,
        "Adjustment": adjusted.adjustment.id,
        "LedgerEntry": entry.id,
        "CustomerMerge": merged.merge.id,
        "Purchase": recorded.purchase.id,
        "Program": salon.tenant_id,
    }
    return recorded.customer.id, {name: encode_id(name, row_id) for name, row_id in ids.items()}


async def test_who_reads_which_sensitive_field(
    world: World, salon: Salon, treue: ExecutableSchema, stored: tuple[CustomerId, Mapping[str, str]]
) -> None:
    """A report shows numbers: who may read reports only learns no e-mail address and no note of the team."""
    customer_id, ids = stored
    readers = {
        "owner": salon.owner,
        "manager": salon.manager,
        "staff": salon.staff,
        "integration": salon.integration,
        "customer": customer_actor(salon.tenant_id, customer_id),
        "reports": replace(salon.staff, permissions=frozenset({Permission.LOYALTY_REPORT})),
        "records": replace(salon.staff, permissions=frozenset({Permission.PURCHASES_RECORD})),
    }
    services = Services(world, NoFeed(), no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
    rows = [("field", *readers)]
    for field, selection in FIELDS.items():
        node_type = selection.split()[2]
        cells = [await _read(treue, services, actor, ids[node_type], selection) for actor in readers.values()]
        rows.append((field, *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    assert "\n".join(lines) + "\n" == MATRIX


async def _read(treue: ExecutableSchema, services: Services, actor: Actor, node_id: str, selection: str) -> str:
    """Return what a reader reads of the only field that is selected."""
    context = Context(services, actor, "request")
    document = f"query($id: ID!) {{ node(id: $id) {{ {selection} }} }}"
    result = await treue.execute(document, variable_values={"id": node_id}, context_value=context)
    if result.errors:
        assert {(error.extensions or {}).get("code") for error in result.errors} == {"FORBIDDEN"}, result.errors
        return "denied"
    value: Any = result.data
    while isinstance(value, dict | list):
        value = next(iter(value if isinstance(value, list) else value.values()), None)
    return "-" if value is None else "told" if value in STORED | NAMES else str(value)


SEAL = Seal(b"a key of 32 bytes for this test ..", TenantId(NOBODY))


def test_the_cursor_of_an_event_does_not_count_the_events() -> None:
    """Its text held the position, which counts all events of the tenant; not even its length tells how many digits."""
    cursors = [cursor_of(SEAL, position, EVENT_ORDER) for position in (1, 7, 4_711, 123_456_789)]
    assert len(set(cursors)) == len(cursors)
    assert len({len(cursor) for cursor in cursors[:3]}) == 1
    for cursor, position in zip(cursors, (1, 7, 4_711, 123_456_789), strict=True):
        said = b"".join(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in cursor.split(".")[1:])
        assert b"events" not in said
        assert str(position).encode() not in said
        assert place_of(SEAL, cursor, EVENT_ORDER, "after") == position


def test_cursors_of_the_first_release_are_still_taken() -> None:
    """Readers keep the cursor of the last event they have seen: it must lead on after an upgrade."""
    packed = b'["events",4711]'
    old = f"{_text_of(packed)}.{_text_of(SEAL.sign(packed))}"
    assert place_of(SEAL, old, EVENT_ORDER, "after") == 4_711


@pytest.mark.parametrize("position", range(6))
def test_a_cursor_that_was_changed_is_refused(position: int) -> None:
    cursor = cursor_of(SEAL, 4_711, EVENT_ORDER)
    at = len(cursor) * position // 6
    changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
    others = SEAL._replace(tenant_id=TenantId(UUID(int=7))), SEAL._replace(key=b"another key")
    for seal, text_ in ((SEAL, changed), *((other, cursor) for other in others)):
        with pytest.raises(InvalidInput):
            place_of(seal, text_, EVENT_ORDER, "after")


def _text_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
