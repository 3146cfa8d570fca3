"""What gift cards pay of a purchase: never more than its total, with points, other cards and told payments."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from loyalty.rules.accrual import EvaluateOn
from loyalty.rules.errors import (
    AboveMaximum,
    InvalidInput,
    LoyaltyError,
    NotFound,
    NothingToDiscount,
    PurchaseEnded,
    PurchaseOfAnotherCustomer,
)
from loyalty.rules.gift_card_errors import (
    GiftCardAbovePurchase,
    GiftCardBalanceTooLow,
    GiftCardCodeMistake,
    GiftCardCodeMistyped,
    GiftCardEnded,
    TooManyWrongCodes,
)
from loyalty.rules.gift_card_guess import MAX_WRONG_CODES_OF_CUSTOMER
from loyalty.rules.payments import Payment, PaymentKind
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import DiscountLimit
from loyalty.services.checkout import Quote, quote_checkout
from loyalty.services.checkout_cards import MAX_QUOTED_CARDS, NamedCard
from loyalty.services.customer import CustomerKey
from loyalty.services.gift_card import CardKey
from loyalty.services.gift_card_hold import hold_gift_card
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import new_code
from permissions.actor import Actor
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    at,
    capture,
    checkout,
    customer_actor,
    earn,
    give,
    hold,
    known_customer,
    order,
    pay_back,
    set_policy,
    set_redemption,
)
from tests.loyalty.services.gift_cards import (
    cancel_card,
    capture_card,
    card_hold_request,
    euros,
    hold_card,
    issue,
    release_card,
    return_card,
    sell_card,
    spend_card,
)

MONEY, POINTS, GIFT_CARD = PaymentKind
ANNA = CustomerKey(external_id="anna")


@pytest.fixture(autouse=True)
async def rich(world: World, salon: Salon) -> None:
    """Give Anna 1,000 points, and let each point be worth a cent."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await give(world, salon, 1_000, "start")


async def quoted(
    world: World, salon: Salon, *cards: NamedCard, by: Actor | None = None, cents: int = 10_000, points: int = 0
) -> Quote:
    """Ask for a quote of a checkout of Anna for the order ``order-1``."""
    return await quote_checkout(world, by or salon.integration, ANNA, checkout(cents, 0, "order-1"), points, cards)


def shares(quote: Quote) -> list[int]:
    """Return what each card of a quote pays, in cents."""
    return [one.amount.amount_minor for one in quote.paid.cards]


# ── holds and captures ───────────────────────────────────────────────────────────────────────────────────────────


async def test_cards_and_points_pay_no_more_than_the_recorded_total(
    world: World, salon: Salon, nothing_changes: NothingChanges, ledger_is_sound: LedgerCheck
) -> None:
    first, second = await sell_card(world, salon), await sell_card(world, salon, key="second")
    await earn(world, salon, order(total=10_000))
    await capture(world, salon, await hold(world, salon, 600, "spent", checkout=checkout(purchase="order-1")), "c")
    await hold(world, salon, 400, "held", checkout=checkout(purchase="order-1"))
    await spend_card(world, salon, first, 5_000)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardAbovePurchase) as refused:
            await hold_card(world, salon, second, 4_001, "one cent more")
    assert refused.value.path == ("amount",)
    assert (refused.value.total_amount, refused.value.available_amount) == (euros(10_000), euros(4_000))
    assert refused.value.required_amount == euros(4_001)
    held = await hold_card(world, salon, second, 4_000, "all that is left")
    with pytest.raises(GiftCardAbovePurchase):
        await hold_card(world, salon, second, 1, "nothing is left")
    await release_card(world, salon, held.hold.id)
    await hold_card(world, salon, second, 3_999, "again")
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("payments", "left"),
    [
        ([Payment(MONEY, 9_000)], 1_000),
        ([Payment(POINTS, 2_000, "theirs")], 8_000),
        ([Payment(GIFT_CARD, 2_000, "of another shop")], 8_000),
        ([Payment(GIFT_CARD, 2_000)], 10_000),
        ([Payment(MONEY, 10_000)], 0),
    ],
)
async def test_told_payments_leave_less_for_cards(
    world: World, salon: Salon, payments: list[Payment], left: int
) -> None:
    """A card that is told without a reference may be the one that is about to pay."""
    paying = await sell_card(world, salon, 20_000)
    await earn(world, salon, order(total=10_000, payments=tuple(payments)))
    with pytest.raises(GiftCardAbovePurchase) as refused:
        await hold_card(world, salon, paying, left + 1, "too much")
    assert refused.value.available_amount == euros(left)
    if left:
        await hold_card(world, salon, paying, left)


async def test_money_returned_to_a_card_can_pay_again(world: World, salon: Salon) -> None:
    paying = await sell_card(world, salon, 20_000)
    await earn(world, salon, order(total=10_000))
    spent = await spend_card(world, salon, paying, 10_000)
    await return_card(world, salon, spent.hold.id, 3_000)
    with pytest.raises(GiftCardAbovePurchase):
        await hold_card(world, salon, paying, 3_001, "too much")
    await hold_card(world, salon, paying, 3_000, "again")


async def test_a_refund_leaves_less_to_pay_and_money_that_went_back_pays_no_more(world: World, salon: Salon) -> None:
    paying = await sell_card(world, salon, 20_000)
    await earn(world, salon, order(total=10_000, payments=(Payment(MONEY, 6_000),)))
    held = await hold_card(world, salon, paying, 4_000)
    await pay_back(world, salon, "order-1", 4_000, "money back")
    assert (await capture_card(world, salon, held.hold.id)).hold.captured_minor == 4_000
    with pytest.raises(GiftCardAbovePurchase) as refused:
        await hold_card(world, salon, paying, 1, "more")
    assert (refused.value.total_amount, refused.value.available_amount) == (euros(6_000), euros(0))


async def test_a_capture_keeps_to_the_purchase_as_it_was_recorded_since(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    first, second = await sell_card(world, salon), await sell_card(world, salon, key="second")
    left = await hold_card(world, salon, first, 5_000, "left behind")
    held = await hold_card(world, salon, second, 5_000, "used")
    await earn(world, salon, order(total=4_000))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardAbovePurchase) as refused:
            await capture_card(world, salon, held.hold.id)
    assert (refused.value.available_amount, refused.value.required_amount) == (euros(4_000), euros(5_000))
    assert (await capture_card(world, salon, held.hold.id, 4_000, "fits")).hold.captured_minor == 4_000
    with pytest.raises(GiftCardAbovePurchase):
        await capture_card(world, salon, left.hold.id, 1, "nothing is left to pay")


@pytest.mark.parametrize("status", [PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW])
async def test_no_card_pays_for_a_purchase_that_is_over(world: World, salon: Salon, status: PurchaseStatus) -> None:
    paying = await sell_card(world, salon)
    held = await hold_card(world, salon, paying, 1_000)
    await earn(world, salon, order(total=10_000, status=status))
    with pytest.raises(PurchaseEnded) as refused:
        await hold_card(world, salon, paying, 1_000, "too late")
    assert refused.value.path == ("purchase",)
    with pytest.raises(PurchaseEnded) as refused:
        await capture_card(world, salon, held.hold.id)
    assert refused.value.path == ("hold",)
    assert (await release_card(world, salon, held.hold.id)).card.held_minor == 0


async def test_a_customer_learns_nothing_of_purchases_of_others(world: World, salon: Salon) -> None:
    """The figures of a refusal would tell what somebody else bought."""
    ben_id = await known_customer(world, salon, "ben")
    ben = customer_actor(salon.tenant_id, ben_id)
    mine = await sell_card(world, salon, customer="ben")
    await earn(world, salon, order(total=10_000))
    with pytest.raises(PurchaseOfAnotherCustomer):
        await hold_gift_card(world, ben, card_hold_request(mine, 5_000))
    quote = await quote_checkout(
        world, ben, CustomerKey(id=ben_id), checkout(20_000, 0, "order-1"), None, [CardKey(mine)]
    )
    (shown,) = quote.paid.cards
    assert isinstance(shown.refusal, PurchaseOfAnotherCustomer)
    assert (shown.amount, quote.paid.already_minor) == (euros(0), 0)


async def test_points_pay_only_what_cards_leave(world: World, salon: Salon) -> None:
    paying = await sell_card(world, salon, 10_000)
    await spend_card(world, salon, paying, 9_700)
    quote = await quoted(world, salon)
    assert quote.loyalty is not None
    assert (quote.loyalty.max_points, quote.loyalty.limited_by) == (300, DiscountLimit.OTHER_PAYMENTS)
    with pytest.raises(AboveMaximum) as refused:
        await hold(world, salon, 301, "too many", checkout=checkout(purchase="order-1"))
    assert (refused.value.maximum, refused.value.requested) == (300, 301)
    await hold(world, salon, 300, "fits", checkout=checkout(purchase="order-1"))
    await spend_card(world, salon, await sell_card(world, salon, key="other"), 5_000, "other", order="order-2")
    with pytest.raises(NothingToDiscount):
        await hold(world, salon, 10, "nothing left", checkout=checkout(5_000, 0, "order-2"))


async def test_of_two_cards_at_once_only_as_much_as_the_total_is_held(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    cards = [await sell_card(world, salon, key=f"card {number}") for number in range(6)]
    await earn(world, salon, order(total=12_000))
    asked = [hold_card(world, salon, one, 5_000, f"hold {number}") for number, one in enumerate(cards)]
    asked_points = hold(world, salon, 1_000, "points", checkout=checkout(12_000, 0, "order-1"))
    *results, points = await asyncio.gather(*asked, asked_points, return_exceptions=True)
    refused = [one for one in results if isinstance(one, GiftCardAbovePurchase)]
    assert (len(refused), len(results) - len(refused)) == (4, 2), results
    assert not isinstance(points, LoyaltyError) or isinstance(points, AboveMaximum)
    await ledger_is_sound(salon.tenant_id)


async def test_a_hold_and_a_capture_for_a_recorded_purchase_keep_to_six_round_trips(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    """One statement reads all that pays for the purchase; a purchase that was evaluated is valued again beside."""
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    paying = await sell_card(world, salon)
    await earn(world, salon, order(total=10_000))
    with statements() as sent:
        held = await hold_card(world, salon, paying, 5_000)
    assert len(sent) == 6, sent
    with statements() as sent:
        await capture_card(world, salon, held.hold.id, 4_000)
    assert len(sent) == 6, sent
    codes = [CardKey(code=(await issue(world, salon, key=f"k{number}", customer=None)).code) for number in range(2)]
    with statements() as sent:
        await quoted(world, salon, CardKey(paying))
    assert len(sent) == 3, sent
    with statements() as sent:
        await quoted(world, salon, CardKey(paying), *codes)
    assert len(sent) == 5, sent


# ── quotes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_quote_says_what_each_card_pays_after_the_points(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    first = await issue(world, salon, 5_000, "a", customer=None)
    second = await sell_card(world, salon, 3_000, "b")
    third = await sell_card(world, salon, 9_000, "c")
    async with nothing_changes(salon.tenant_id):
        quote = await quoted(world, salon, CardKey(second), CardKey(third), points=1_000)
    assert shares(quote) == [3_000, 6_000]
    assert [one.available for one in quote.paid.cards] == [euros(3_000), euros(9_000)]
    by_code = await quoted(world, salon, CardKey(code=first.code), CardKey(second), points=500)
    assert shares(by_code) == [5_000, 3_000]
    assert shares(await quoted(world, salon, CardKey(third), CardKey(second), cents=2_000)) == [2_000, 0]


async def test_a_quote_counts_what_pays_already_and_what_its_own_cards_hold(world: World, salon: Salon) -> None:
    """So the quote is the same before and after its own holds."""
    mine, other = await sell_card(world, salon, 5_000, "mine"), await sell_card(world, salon, 2_000, "other")
    before = await quoted(world, salon, CardKey(mine), cents=8_000)
    await hold_card(world, salon, mine, 5_000, "mine")
    await spend_card(world, salon, other, 2_000, "other")
    quote = await quoted(world, salon, CardKey(mine), cents=8_000)
    assert shares(before) == shares(quote) == [5_000]
    assert quote.paid.already_minor == 2_000
    unnamed = await quoted(world, salon, cents=8_000)
    assert unnamed.paid.already_minor == 7_000
    await earn(world, salon, order(total=8_000, payments=(Payment(MONEY, 1_000),)))
    assert (await quoted(world, salon, CardKey(mine), cents=8_000)).paid.already_minor == 3_000


async def test_each_card_that_cannot_pay_is_named_by_its_path(world: World, salon: Salon) -> None:
    soon = datetime.now(UTC).date()
    expired = await sell_card(world, salon, key="expired", expires_on=soon)
    void, empty = await sell_card(world, salon, key="void"), await sell_card(world, salon, key="empty")
    await cancel_card(world, salon, void)
    await spend_card(world, salon, empty, 5_000, order="order-2")
    good = await issue(world, salon, 2_000, "good", customer=None)
    mistyped = GiftCardCodeMistyped(GiftCardCodeMistake.LENGTH, "It is short.", ("gift_cards", "0", "code"))
    later = at(world, datetime.now(UTC) + timedelta(days=3))
    named: list[NamedCard] = [
        mistyped, CardKey(expired), CardKey(void), CardKey(empty), CardKey(code=new_code()),
        CardKey(code=good.code), CardKey(good.card.id),
    ]  # fmt: skip
    quote = await quoted(later, salon, *named)
    assert [(type(one.refusal), one.refusal and one.refusal.path) for one in quote.paid.cards] == [
        (GiftCardCodeMistyped, ("gift_cards", "0", "code")),
        (GiftCardEnded, ("gift_cards", "1")),
        (GiftCardEnded, ("gift_cards", "2")),
        (GiftCardBalanceTooLow, ("gift_cards", "3")),
        (NotFound, ("gift_cards", "4", "code")),
        (type(None), None),
        (InvalidInput, ("gift_cards", "6")),
    ]
    assert shares(quote) == [0, 0, 0, 0, 0, 2_000, 0]
    with pytest.raises(InvalidInput) as refused:
        await quoted(world, salon, *[CardKey(good.card.id)] * (MAX_QUOTED_CARDS + 1))
    assert refused.value.path == ("gift_cards",)


async def test_wrong_codes_in_quotes_count_as_everywhere(world: World, salon: Salon) -> None:
    anna_id = await known_customer(world, salon)
    anna, good = customer_actor(salon.tenant_id, anna_id), await issue(world, salon, customer=None)
    for _ in range(MAX_WRONG_CODES_OF_CUSTOMER // 5):
        await quoted(world, salon, *[CardKey(code=new_code()) for _ in range(5)], by=anna)
    quote = await quoted(world, salon, CardKey(code=good.code), by=anna)
    (shown,) = quote.paid.cards
    assert isinstance(shown.refusal, TooManyWrongCodes)
    assert (shown.card, shown.amount) == (None, euros(0))


async def test_by_id_customers_use_only_a_card_that_they_have(world: World, salon: Salon, other_salon: Salon) -> None:
    anna_id = await known_customer(world, salon)
    anna = customer_actor(salon.tenant_id, anna_id)
    mine, bearers = await sell_card(world, salon, customer="anna"), await sell_card(world, salon, key="bearers")
    theirs = await sell_card(world, other_salon, key="theirs")
    quote = await quoted(world, salon, CardKey(mine), CardKey(bearers), CardKey(theirs), by=anna)
    assert shares(quote) == [5_000, 0, 0]
    assert [type(one.refusal) for one in quote.paid.cards] == [type(None), NotFound, NotFound]
