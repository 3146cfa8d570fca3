"""What an earlier release kept under an id as it was sent stays findable by that id, and means the same to rules."""

from typing import Any

import pytest

from loyalty.rules.catalog import CatalogChange, CatalogItem, CatalogKind
from loyalty.rules.earning import Conditions, FixedAward
from loyalty.rules.purchase import PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.refund import BY_LINE_ID, LineRefund
from loyalty.services import catalog, tidy_keys
from loyalty.services.catalog import CatalogEdit, load_catalog_items, upsert_catalog_items
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.listing import load_purchases_by_key
from loyalty.services.purchase import find_purchase
from loyalty.services.world import World
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.points_paid import PurchaseKey
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import checkout, earn, give, hold, order, pay_back, rule, set_redemption

UNTIDY, TIDY = " order-1 ", "order-1"
CUT = PurchaseLine("cut ", None, 1, 10_000, line_id=" L-1")


@pytest.fixture
def former(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Keep ids as earlier releases did: as they were sent."""

    def keep_as_sent() -> None:
        monkeypatch.setattr(tidy_keys, "tidy_id", lambda value: value)
        monkeypatch.setattr(catalog, "tidy_id", lambda value: value)

    return keep_as_sent


async def test_a_purchase_under_an_untidy_id_is_found_and_its_retry_is_a_replay(
    world: World,
    salon: Salon,
    former: Any,
    monkeypatch: pytest.MonkeyPatch,
    nothing_changes: NothingChanges,
    ledger_is_sound: LedgerCheck,
) -> None:
    cut = rule(FixedAward(20), conditions=Conditions(services=frozenset({"cut  "})))
    await create_earning_rule(world, salon.manager, cut)
    former()
    sale = order(UNTIDY, 10_000, CUT)
    first = await earn(world, salon, sale)
    assert first.accrual is not None
    assert (first.purchase.external_id, first.accrual.points) == (UNTIDY, 20)
    monkeypatch.undo()
    async with nothing_changes(salon.tenant_id):
        assert (await earn(world, salon, sale)).replayed
    key = PurchaseKey(PurchaseKind.ORDER, UNTIDY)
    found = await find_purchase(world, salon.staff, purchase_id=None, key=key)
    assert found is not None
    assert (await load_purchases_by_key(world, salon.staff, [key]))[key] == found
    paid = await earn(world, salon, order(UNTIDY, 10_000, CUT, status=PurchaseStatus.PAID))
    assert paid.purchase.id == first.purchase.id
    await set_redemption(world, salon)
    await give(world, salon, 100, "riches")
    held = await hold(world, salon, 50, "basket", checkout=checkout(purchase=UNTIDY))
    assert held.hold.purchase == key
    back = await pay_back(world, salon, UNTIDY, 0, "back", LineRefund(BY_LINE_ID, 1, line_id="L-1"))
    assert back.refund.points == -20
    await ledger_is_sound(salon.tenant_id)


async def test_an_item_under_an_untidy_id_is_kept_and_removed(
    world: World, salon: Salon, former: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    former()
    untidy = CatalogItem(CatalogKind.SERVICE, " cut", "Cut", enrolled=True, points_per_unit=5)
    await upsert_catalog_items(world, salon.manager, CatalogEdit([untidy], []))
    monkeypatch.undo()
    key = (CatalogKind.SERVICE, " cut")
    recorded = await earn(world, salon, order(TIDY, 1_000, PurchaseLine("cut", None, 1, 1_000)))
    assert recorded.accrual is None or recorded.accrual.points == 0
    (kept,) = await upsert_catalog_items(
        world, salon.manager, CatalogEdit([CatalogChange(*key, {"name": "A cut"})], [])
    )
    assert (kept.external_id, kept.name, kept.points_per_unit) == (" cut", "A cut", 5)
    assert (await load_catalog_items(world, salon.staff, [key]))[key] == kept
    await upsert_catalog_items(world, salon.manager, CatalogEdit([], [CatalogPlace(*key)]))
    assert not await load_catalog_items(world, salon.staff, [key])


async def test_tidy_ids_take_no_statement_more(world: World, salon: Salon, statements: StatementLog) -> None:
    await earn(world, salon, order(TIDY, 1_000))
    with statements() as tidy:
        await earn(world, salon, order("order-2", 1_000))
    with statements() as untidy:
        await earn(world, salon, order(" order-3", 1_000))
    assert (len(tidy), len(untidy)) == (3, 4)
