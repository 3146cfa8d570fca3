"""Gift cards for points: burnt once, issued once, never for less, and without any gain."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from loyalty.rules.archive import ArchiveCause
from loyalty.rules.entry import EntryKind
from loyalty.rules.errors import IdempotencyConflict, InsufficientPoints, InvalidInput, LoyaltyError, NotFound
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.gift_card_errors import (
    GiftCardInUse,
    GiftCardProductObstacle,
    GiftCardProductUnavailable,
)
from loyalty.rules.ids import CustomerId, GiftCardProductId
from loyalty.rules.tiers import TierBasis, TierPolicy
from loyalty.services.customer import CustomerKey, list_activity
from loyalty.services.customer_archive import archive_customer, load_archivings
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.gift_card import reveal_code
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_gift import claim_gift_card
from loyalty.services.gift_card_issue import IssuedCard, issue_gift_card
from loyalty.services.gift_card_product import change_product, create_product
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow, read_customers_by_id
from loyalty.storage.entries import EntryFilter, EntryRow
from loyalty.storage.expiry import LotRow
from loyalty.storage.lists import LotFilter, read_lot_page
from loyalty.storage.window import Window
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOBODY,
    customer_actor,
    earn,
    give,
    known_customer,
    merge,
    one_point_per_euro,
    order,
    product,
    rule,
)
from tests.loyalty.services.gift_cards import cancel_card, euros, issue_request, spend_card


async def offer(world: World, salon: Salon, **changes: Any) -> GiftCardProductId:
    """Create a product: a card of 25.00 EUR for 500 points, with changes."""
    return (await create_product(world, salon.manager, product(**changes))).product.id


async def buy(
    world: World, salon: Salon, product_id: GiftCardProductId, key: str = "buy-1", *, customer: str = "anna"
) -> IssuedCard:
    """Let a customer buy a card, at the counter."""
    request = BuyRequest(CustomerKey(external_id=customer), product_id, key)
    return await buy_gift_card(world, salon.integration, request)


async def _customer(world: World, salon: Salon, customer_id: CustomerId) -> CustomerRow:
    return (await read_customers_by_id(world.database.reading(salon.tenant_id), [customer_id]))[customer_id]


async def _lots(world: World, salon: Salon, customer_id: CustomerId) -> list[LotRow]:
    wanted: Window[Any] = Window(50)
    return await read_lot_page(world.database.reading(salon.tenant_id), LotFilter(customer_id), wanted)


async def _entries(world: World, salon: Salon, customer_id: CustomerId) -> list[EntryRow]:
    return list(await list_activity(world, salon.manager, EntryFilter(customer_id), Window(50)))


async def test_points_are_burnt_and_the_card_is_there(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    anna_id = await known_customer(world, salon)
    await give(world, salon, 700, "points")
    product_id = await offer(world, salon)
    anna = customer_actor(salon.tenant_id, anna_id)
    request = BuyRequest(CustomerKey(id=anna_id), product_id, "mine")
    bought = await buy_gift_card(world, anna, request)
    assert (bought.card.origin, bought.card.points_cost, bought.card.balance_minor) == (
        GiftCardOrigin.POINTS,
        500,
        2_500,
    )
    assert bought.customer is not None
    assert bought.customer.points.available == 200
    assert reveal_code(world, anna, bought.card) == bought.code
    entry = (await _entries(world, salon, anna_id))[0]
    assert (entry.kind, entry.points, entry.reference_id) == (EntryKind.GIFT_CARD, -500, bought.card.id)
    again = await buy_gift_card(world, anna, request)
    assert (again.card, again.code, again.replayed) == (bought.card, bought.code, True)
    with pytest.raises(IdempotencyConflict):
        await buy_gift_card(world, anna, request._replace(product_id=await offer(world, salon, name="Other")))
    await ledger_is_sound(salon.tenant_id)


async def test_of_parallel_buyers_with_points_for_one_exactly_one_gets_a_card(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    anna_id = await known_customer(world, salon)
    await give(world, salon, 999, "points")
    product_id = await offer(world, salon)
    answers = await asyncio.gather(
        *(buy(world, salon, product_id, f"buy-{number}") for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(one, IssuedCard) for one in answers) == 1
    assert sum(isinstance(one, InsufficientPoints) for one in answers) == 7
    assert (await _customer(world, salon, anna_id)).points.available == 499
    await ledger_is_sound(salon.tenant_id)


async def test_of_parallel_buyers_of_the_last_card_exactly_one_gets_it(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    names = [f"customer-{number}" for number in range(6)]
    for name in names:
        await known_customer(world, salon, name)
        await give(world, salon, 500, f"points of {name}", customer=name)
    product_id = await offer(world, salon, stock=1)
    buyers = (buy(world, salon, product_id, f"buy of {name}", customer=name) for name in names)
    answers = await asyncio.gather(*buyers, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, GiftCardProductUnavailable)]
    assert sum(isinstance(one, IssuedCard) for one in answers) == 1
    assert [one.product_obstacle for one in refused] == [GiftCardProductObstacle.SOLD_OUT] * 5
    bought = next(one for one in answers if isinstance(one, IssuedCard))
    await cancel_card(world, salon, bought.card.id)
    with pytest.raises(LoyaltyError):
        await buy(world, salon, product_id, "nobody", customer="nobody")
    assert not (await buy(world, salon, product_id, "again", customer=names[0])).replayed
    await ledger_is_sound(salon.tenant_id)


async def test_refusals_change_nothing(
    world: World, salon: Salon, other_salon: Salon, nothing_changes: NothingChanges
) -> None:
    anna_id = await known_customer(world, salon)
    ben_id = await known_customer(world, salon, "ben")
    await give(world, salon, 1_600, "points")
    limited = await offer(world, salon, limit_per_customer=1)
    await buy(world, salon, limited)
    for_money = await offer(world, salon, name="Money", purchasable_with_points=False)
    sleeping = await offer(world, salon, name="Sleeping", active=False)
    dear = await offer(world, salon, name="Dear", points_cost=1_101)
    foreign = await offer(world, other_salon)
    async with nothing_changes(salon.tenant_id):
        for product_id, obstacle in (
            (limited, GiftCardProductObstacle.LIMIT_PER_CUSTOMER),
            (for_money, GiftCardProductObstacle.NOT_FOR_POINTS),
            (sleeping, GiftCardProductObstacle.INACTIVE),
        ):
            with pytest.raises(GiftCardProductUnavailable) as refused:
                await buy(world, salon, product_id, "refused")
            assert refused.value.product_obstacle is obstacle
        with pytest.raises(InsufficientPoints) as too_dear:
            await buy(world, salon, dear, "refused")
        assert (too_dear.value.available, too_dear.value.required, too_dear.value.path) == (1_100, 1_101, ("product",))
        for product_id in (foreign, GiftCardProductId(NOBODY)):
            with pytest.raises(NotFound):
                await buy(world, salon, product_id, "refused")
        request = BuyRequest(CustomerKey(id=anna_id), limited, "hers")
        with pytest.raises(NotFound) as not_hers:
            await buy_gift_card(world, customer_actor(salon.tenant_id, ben_id), request)
        assert not_hers.value.path == ("customer",)


async def test_a_card_that_was_not_used_gives_its_points_back_to_their_lots(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    anna_id = await known_customer(world, salon)
    await give(world, salon, 300, "first")
    await give(world, salon, 300, "second")
    before = await _lots(world, salon, anna_id)
    product_id = await offer(world, salon)
    bought = await buy(world, salon, product_id)
    cancelled = await cancel_card(world, salon, bought.card.id)
    assert (cancelled.card.balance_minor, cancelled.card.voided_at) == (0, cancelled.entry.occurred_at)
    assert await _lots(world, salon, anna_id) == before
    customer = await _customer(world, salon, anna_id)
    assert (customer.points.available, customer.points.lifetime_earned) == (600, 0)
    entry = (await _entries(world, salon, anna_id))[0]
    assert (entry.kind, entry.points, entry.reference_id) == (EntryKind.GIFT_CARD_RETURNED, 500, bought.card.id)
    used = await buy(world, salon, product_id, "used")
    await spend_card(world, salon, used.card.id, 1)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardInUse):
            await cancel_card(world, salon, used.card.id, "used")
    assert (await cancel_card(world, salon, used.card.id, "burnt", return_points=False)).entry.amount_minor == -2_499
    assert (await _customer(world, salon, anna_id)).points.available == 100
    await ledger_is_sound(salon.tenant_id)


async def test_points_of_a_cancelled_card_come_to_the_target_of_a_merge(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await known_customer(world, salon)
    ben_id = await known_customer(world, salon, "ben")
    await give(world, salon, 500, "points")
    bought = await buy(world, salon, await offer(world, salon))
    await merge(world, salon, "anna", "ben", "merge-1")
    await cancel_card(world, salon, bought.card.id)
    assert (await _customer(world, salon, ben_id)).points.available == 500
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("basis", TierBasis)
async def test_buying_and_cancelling_gains_nothing(
    world: World, salon: Salon, basis: TierBasis, ledger_is_sound: LedgerCheck
) -> None:
    """Points to a card and back, again and again: every number of the customer is as it was."""
    policy = TierPolicy(basis=basis)
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, tiering=policy), None))
    anna_id = await known_customer(world, salon)
    await give(world, salon, 600, "points", qualifying=True)
    before = await _customer(world, salon, anna_id)
    product_id = await offer(world, salon)
    for number in range(3):
        bought = await buy(world, salon, product_id, f"buy-{number}")
        assert bought.customer is not None
        assert bought.customer.points.lifetime_earned == before.points.lifetime_earned
        await cancel_card(world, salon, bought.card.id, f"cancel-{number}")
    after = await _customer(world, salon, anna_id)
    assert (after.points, after.tier) == (before.points, before.tier)
    await ledger_is_sound(salon.tenant_id)


async def test_a_card_of_a_product_is_issued_for_money_and_for_goodwill(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await known_customer(world, salon)
    product_id = await offer(world, salon, stock=3, limit_per_customer=1)
    request = issue_request(key="sold", face=None, product_id=product_id)
    sold = await issue_gift_card(world, salon.integration, request)
    assert (sold.card.face_minor, sold.card.product_id, sold.card.points_cost) == (2_500, product_id, None)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardProductUnavailable):
            await issue_gift_card(world, salon.integration, request._replace(idempotency_key="second"))
        for wrong in (
            request._replace(face=euros(1_000)),
            request._replace(product_id=None),
        ):
            with pytest.raises(InvalidInput) as refused:
                await issue_gift_card(world, salon.integration, wrong._replace(idempotency_key="wrong"))
            assert refused.value.path == ("amount",)
    gift = request._replace(idempotency_key="gift", origin=GiftCardOrigin.GOODWILL)
    await issue_gift_card(world, salon.integration, gift)
    await issue_gift_card(world, salon.integration, gift._replace(idempotency_key="third"))
    with pytest.raises(GiftCardProductUnavailable) as sold_out:
        await issue_gift_card(world, salon.integration, gift._replace(idempotency_key="fourth"))
    assert sold_out.value.product_obstacle is GiftCardProductObstacle.SOLD_OUT
    await ledger_is_sound(salon.tenant_id)


async def test_a_product_that_was_edited_meanwhile_is_read_again(world: World, salon: Salon) -> None:
    """A sale is decided with one version of its product; an edit keeps what was sold."""
    await known_customer(world, salon)
    await give(world, salon, 1_000, "points")
    product_id = await offer(world, salon, stock=1)
    await buy(world, salon, product_id)
    await change_product(world, salon.manager, product_id, lambda it: replace(it, stock=2, points_cost=400), None)
    assert (await buy(world, salon, product_id, "second")).card.points_cost == 400
    with pytest.raises(GiftCardProductUnavailable):
        await buy(world, salon, product_id, "third")


async def test_a_purchase_keeps_to_its_round_trips(world: World, salon: Salon, statements: StatementLog) -> None:
    await known_customer(world, salon)
    await give(world, salon, 1_000, "points")
    product_id = await offer(world, salon)
    with statements() as sent:
        bought = await buy(world, salon, product_id)
    assert len(sent) == 5, sent
    with statements() as sent:
        await cancel_card(world, salon, bought.card.id)
    assert len(sent) == 5, sent


async def test_from_points_to_cards_to_purchases_and_on_nothing_is_gained(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-14: 1,000 points buy two cards; what the cards pay earns nothing, recorded before or after they pay."""
    anna_id = await known_customer(world, salon)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await create_earning_rule(world, salon.manager, rule(7))
    await give(world, salon, 1_000, "start")
    product_id = await offer(world, salon)
    for number in range(2):
        card_id = (await buy(world, salon, product_id, f"buy-{number}")).card.id
        name = f"order-{number}"
        bought = order(name, 2_500)
        if number:
            await earn(world, salon, bought)
        await spend_card(world, salon, card_id, 2_500, name, order=name)
        if not number:
            await earn(world, salon, bought)
    points = (await _customer(world, salon, anna_id)).points
    assert (points.available, points.pending) == (0, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_an_archived_customer_comes_back_by_a_card(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Buying, receiving and claiming a card all mean the same: the customer is here again, as with a purchase."""
    anna_id = await known_customer(world, salon)
    await give(world, salon, 500, "points")
    product_id, anna = await offer(world, salon), CustomerKey(external_id="anna")
    open_card = await issue_gift_card(world, salon.integration, issue_request(key="open", customer=None))

    async def claim() -> object:
        return await claim_gift_card(world, salon.integration, open_card.code, anna, "claim")

    steps = (
        lambda: buy(world, salon, product_id),
        lambda: issue_gift_card(world, salon.integration, issue_request(key="received")),
        claim,
    )
    for step in steps:
        await archive_customer(world, salon.manager, anna, None)
        await step()
        assert (await _customer(world, salon, anna_id)).archived_at is None
    history = (await load_archivings(world, salon.manager, [anna_id]))[anna_id]
    assert [row.cause for row in history if not row.archived] == [ArchiveCause.GIFT_CARD] * 3
    await ledger_is_sound(salon.tenant_id)
