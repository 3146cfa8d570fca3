"""Gift cards at a checkout: issue, hold, capture, release, return, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from loyalty.rules.errors import CurrencyMismatch, HoldEnded, IdempotencyConflict, InvalidInput, NotFound
from loyalty.rules.gift_card import GiftCardState, state_at
from loyalty.rules.gift_card_errors import (
    GiftCardBalanceTooLow,
    GiftCardEnded,
    GiftCardInUse,
    ReturnExceedsSpending,
    TooManyWrongCodes,
)
from loyalty.rules.gift_card_guess import MAX_WRONG_CODES_OF_CUSTOMER
from loyalty.rules.money import Money
from loyalty.rules.redemption import HoldState
from loyalty.services.gift_card import CardKey, load_gift_cards, look_up_gift_card, reveal_code
from loyalty.services.gift_card_hold import hold_gift_card, release_gift_card
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import new_code
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import at, customer_actor, known_customer
from tests.loyalty.services.gift_cards import (
    cancel_card,
    capture_card,
    card_hold_request,
    euros,
    hold_card,
    issue,
    release_card,
    return_card,
    spend_card,
)


async def test_a_card_is_found_by_its_code_and_by_nothing_else(world: World, salon: Salon, other_salon: Salon) -> None:
    await known_customer(world, salon)
    issued = await issue(world, salon)
    found = await look_up_gift_card(world, salon.integration, issued.code)
    assert (found.id, found.balance_minor, found.code_ending) == (issued.card.id, 5_000, issued.code[-4:])
    for actor, code in ((salon.integration, new_code()), (other_salon.integration, issued.code)):
        with pytest.raises(NotFound) as refused:
            await look_up_gift_card(world, actor, code)
        assert refused.value.path == ("code",)
    assert await load_gift_cards(world, other_salon.manager, [issued.card.id]) == {}


async def test_a_code_stands_nowhere_in_clear(world: World, salon: Salon) -> None:
    await known_customer(world, salon)
    issued = await issue(world, salon)
    stored = (await load_gift_cards(world, salon.manager, [issued.card.id]))[issued.card.id]
    assert issued.code.encode() not in stored.code_sealed + stored.code_hash
    assert not any(issued.code in str(value) for value in stored)


async def test_only_who_has_the_card_sees_its_code(world: World, salon: Salon) -> None:
    anna_id, ben_id = await known_customer(world, salon), await known_customer(world, salon, "ben")
    issued = await issue(world, salon)
    anna, ben = customer_actor(salon.tenant_id, anna_id), customer_actor(salon.tenant_id, ben_id)
    assert reveal_code(world, anna, issued.card) == issued.code
    assert reveal_code(world, salon.manager, issued.card) is None
    assert await load_gift_cards(world, ben, [issued.card.id]) == {}
    assert set(await load_gift_cards(world, anna, [issued.card.id])) == {issued.card.id}


async def test_a_sale_that_is_sent_again_answers_with_the_same_card_and_code(world: World, salon: Salon) -> None:
    first = await issue(world, salon, customer=None, reference="sale-9")
    again = await issue(world, salon, customer=None, reference="sale-9")
    assert (again.card, again.code, again.replayed) == (first.card, first.code, True)
    with pytest.raises(IdempotencyConflict):
        await issue(world, salon, 6_000, customer=None, reference="sale-9")


async def test_a_capture_spends_a_part_and_the_rest_stays_on_the_card(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon)).card
    held = await hold_card(world, salon, card.id, 3_000)
    assert (held.card.balance_minor, held.card.held_minor, held.hold.state) == (5_000, 3_000, HoldState.ACTIVE)
    captured = await capture_card(world, salon, held.hold.id, 2_000)
    assert (captured.card.balance_minor, captured.card.held_minor) == (3_000, 0)
    assert (captured.hold.state, captured.hold.captured_minor) == (HoldState.CAPTURED, 2_000)
    again = await capture_card(world, salon, held.hold.id, 2_000)
    assert (again.hold, again.replayed) == (captured.hold, True)
    await ledger_is_sound(salon.tenant_id)


async def test_held_money_cannot_be_spent_twice(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    card = (await issue(world, salon, customer=None)).card
    held = await hold_card(world, salon, card.id, 3_000)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardBalanceTooLow) as refused:
            await hold_card(world, salon, card.id, 2_001, "second")
        assert (refused.value.available_amount, refused.value.required_amount) == (euros(2_000), euros(2_001))
        with pytest.raises(GiftCardBalanceTooLow):
            await capture_card(world, salon, held.hold.id, 3_001)
    await release_card(world, salon, held.hold.id)
    assert (await hold_card(world, salon, card.id, 5_000, "third")).card.held_minor == 5_000


async def test_anybody_with_the_code_spends_the_card(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    anna_id, ben_id = await known_customer(world, salon), await known_customer(world, salon, "ben")
    issued = await issue(world, salon)
    anna, ben = customer_actor(salon.tenant_id, anna_id), customer_actor(salon.tenant_id, ben_id)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(NotFound) as by_id:
            await hold_gift_card(world, ben, card_hold_request(issued.card.id, 1_000))
    with pytest.raises(NotFound) as by_code:
        await hold_gift_card(world, ben, card_hold_request(CardKey(code=new_code()), 1_000))
    assert (by_id.value.path, by_code.value.path) == (("gift_card",), ("gift_card", "code"))
    held = await hold_gift_card(world, ben, card_hold_request(CardKey(code=issued.code), 1_000))
    with pytest.raises(NotFound):
        await release_gift_card(world, ben, held.hold.id, "not Ben's card")
    assert (await hold_gift_card(world, anna, card_hold_request(issued.card.id, 1_000))).card.held_minor == 2_000
    assert (await release_gift_card(world, anna, held.hold.id, "my card")).card.held_minor == 1_000


async def test_a_key_that_was_used_for_another_card_is_a_conflict(world: World, salon: Salon) -> None:
    """By its id or by its code, it is the same card."""
    issued, other = await issue(world, salon, customer=None), await issue(world, salon, key="other", customer=None)
    first = await hold_card(world, salon, CardKey(code=issued.code), 1_000)
    with pytest.raises(IdempotencyConflict):
        await hold_card(world, salon, CardKey(code=other.code), 1_000)
    for again in (CardKey(code=issued.code), CardKey(issued.card.id)):
        held = await hold_card(world, salon, again, 1_000)
        assert (held.hold, held.replayed) == (first.hold, True)


async def test_wrong_codes_are_counted(world: World, salon: Salon) -> None:
    """Where too many were tried, a right one is refused alike, for a look-up and for a hold."""
    anna_id = await known_customer(world, salon)
    issued, anna = await issue(world, salon), customer_actor(salon.tenant_id, anna_id)
    for _ in range(MAX_WRONG_CODES_OF_CUSTOMER):
        with pytest.raises(NotFound):
            await look_up_gift_card(world, anna, new_code())
    with pytest.raises(TooManyWrongCodes):
        await look_up_gift_card(world, anna, issued.code)
    with pytest.raises(TooManyWrongCodes) as refused:
        await hold_gift_card(world, anna, card_hold_request(CardKey(code=issued.code), 1_000))
    assert refused.value.path == ("gift_card", "code")
    assert (await look_up_gift_card(world, salon.integration, issued.code)).held_minor == 0


async def test_a_hold_ends_once(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    card = (await issue(world, salon, customer=None)).card
    captured = await spend_card(world, salon, card.id, 1_000)
    released = await release_card(world, salon, (await hold_card(world, salon, card.id, 1_000)).hold.id)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(HoldEnded):
            await release_card(world, salon, captured.hold.id, "other")
        with pytest.raises(HoldEnded):
            await capture_card(world, salon, released.hold.id, key="other")
        assert (await release_card(world, salon, released.hold.id, "again")).hold.state is HoldState.RELEASED
    later = at(world, datetime.now(UTC) + timedelta(hours=1))
    held = await hold_card(world, salon, card.id, 1_000, "short", minutes=1)
    with pytest.raises(HoldEnded) as over:
        await capture_card(later, salon, held.hold.id, key="too late")
    assert over.value.state is HoldState.EXPIRED


async def test_returned_money_can_be_spent_again_but_never_more_than_was_spent(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon)).card
    spent = await spend_card(world, salon, card.id, 5_000)
    assert state_at(spent.card.account, datetime.now(UTC)) is GiftCardState.SPENT
    returned = await return_card(world, salon, spent.hold.id, 2_000)
    assert (returned.card.balance_minor, returned.hold.returned_minor, returned.entry.amount_minor) == (
        2_000,
        2_000,
        2_000,
    )
    assert (await return_card(world, salon, spent.hold.id, 2_000)).replayed
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(ReturnExceedsSpending) as refused:
            await return_card(world, salon, spent.hold.id, 3_001, "more")
        assert refused.value.returnable_amount == euros(3_000)
    assert (await return_card(world, salon, spent.hold.id, key="rest")).card.balance_minor == 5_000
    with pytest.raises(ReturnExceedsSpending):
        await return_card(world, salon, spent.hold.id, key="nothing is left")
    await ledger_is_sound(salon.tenant_id)


async def test_a_cancelled_card_is_void(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon)).card
    spent = await spend_card(world, salon, card.id, 1_000)
    held = await hold_card(world, salon, card.id, 500)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardInUse) as in_use:
            await cancel_card(world, salon, card.id)
        assert in_use.value.held_amount == euros(500)
        with pytest.raises(InvalidInput) as refused:
            await cancel_card(world, salon, card.id, return_points=True)
        assert refused.value.path == ("return_points",)
    await release_card(world, salon, held.hold.id)
    cancelled = await cancel_card(world, salon, card.id)
    assert (cancelled.card.balance_minor, cancelled.entry.amount_minor) == (0, -4_000)
    assert (await cancel_card(world, salon, card.id)).replayed
    async with nothing_changes(salon.tenant_id):
        for refusal in (
            hold_card(world, salon, card.id, 1, "void"),
            return_card(world, salon, spent.hold.id),
            cancel_card(world, salon, card.id, "again"),
        ):
            with pytest.raises(GiftCardEnded) as ended:
                await refusal
            assert ended.value.card_state is GiftCardState.VOIDED
    await ledger_is_sound(salon.tenant_id)


async def test_refuses_amounts_that_are_none(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    card = (await issue(world, salon, customer=None)).card
    async with nothing_changes(salon.tenant_id):
        for refusal in (hold_card(world, salon, card.id, 0), issue(world, salon, 0, "zero", customer=None)):
            with pytest.raises(InvalidInput) as refused:
                await refusal
            assert refused.value.path == ("amount", "amount")
        request = card_hold_request(card.id, 1)._replace(amount=Money(1, "USD"))
        with pytest.raises(CurrencyMismatch):
            await hold_gift_card(world, salon.integration, request)
        with pytest.raises(NotFound):
            await issue(world, salon, key="unknown", customer="nobody")


async def test_each_operation_keeps_to_its_round_trips(world: World, salon: Salon, statements: StatementLog) -> None:
    """Look-ups take at most 3, hold and capture at most 6; a hold by code looks the code up first."""
    await known_customer(world, salon)
    with statements() as sent:
        issued = await issue(world, salon)
    assert len(sent) == 3, sent
    with statements() as sent:
        await look_up_gift_card(world, salon.integration, issued.code)
    assert len(sent) == 2, sent
    with statements() as sent:
        by_code = await hold_card(world, salon, CardKey(code=issued.code), 1_000, "by code")
    assert len(sent) == 6, sent
    await release_card(world, salon, by_code.hold.id, "by code")
    with statements() as sent:
        held = await hold_card(world, salon, issued.card.id, 1_000)
    assert len(sent) == 4, sent
    with statements() as sent:
        await capture_card(world, salon, held.hold.id)
    assert len(sent) == 5, sent
    with statements() as sent:
        await return_card(world, salon, held.hold.id)
    assert len(sent) == 5, sent
    other = await hold_card(world, salon, issued.card.id, 1_000, "other")
    with statements() as sent:
        await release_card(world, salon, other.hold.id)
    assert len(sent) == 5, sent
    with statements() as sent:
        await cancel_card(world, salon, issued.card.id)
    assert len(sent) == 4, sent
