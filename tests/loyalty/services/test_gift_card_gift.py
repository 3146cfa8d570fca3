"""Gift cards are handed to somebody and claimed: whose they are, who reads the code, and what nobody learns."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loyalty.rules.errors import IdempotencyConflict, InvalidInput, NotFound
from loyalty.rules.gift_card_code import GiftCardCode
from loyalty.rules.gift_card_errors import GiftCardEnded, GiftCardHasOwner, TooManyWrongCodes
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.gift_card_guess import MAX_WRONG_CODES_OF_CUSTOMER
from loyalty.rules.ids import CustomerId, GiftCardId
from loyalty.services.customer import CustomerKey
from loyalty.services.gift_card import load_gift_cards, reveal_code
from loyalty.services.gift_card_gift import (
    ClaimedCard,
    GivenCard,
    GiveRequest,
    claim_gift_card,
    give_gift_card,
    load_gifts,
    load_gifts_of_cards,
    load_gifts_of_givers,
)
from loyalty.services.gift_card_listing import list_gift_cards
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import new_code
from loyalty.storage.gift_card_lists import GiftCardFilter
from loyalty.storage.window import Window
from permissions.actor import Actor
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import customer_actor, known_customer, merge
from tests.loyalty.services.gift_cards import cancel_card, issue, spend_card

PAGE: Window[Any] = Window(100)
FOR_EVA = Gift("Eva", "eva@example.com", "Happy birthday!", date(2099, 5, 17))


async def customer(world: World, salon: Salon, name: str) -> Actor:
    """Return a customer who is known."""
    return customer_actor(salon.tenant_id, await known_customer(world, salon, name))


async def give(world: World, actor: Actor, card_id: GiftCardId, key: str = "give-1", gift: Gift = FOR_EVA) -> GivenCard:
    """Hand a card to Eva."""
    return await give_gift_card(world, actor, GiveRequest(card_id, gift, key))


async def claim(world: World, actor: Actor, code: GiftCardCode, key: str = "claim-1") -> ClaimedCard:
    """Take a card."""
    return await claim_gift_card(world, actor, code, None, key)


async def cards_of(world: World, actor: Actor) -> list[GiftCardId]:
    """Return what a customer has."""
    found = await list_gift_cards(world, actor, GiftCardFilter(holder_id=actor.customer_id), PAGE)
    return [card.id for card in found]


async def test_a_card_goes_from_one_customer_to_another(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """SB-16, SB-18: the giver keeps a reference, the receiver gets the card."""
    anna, eva = await customer(world, salon, "anna"), await customer(world, salon, "eva")
    issued = await issue(world, salon)
    card_id = issued.card.id
    assert reveal_code(world, anna, issued.card) == issued.code
    given = await give(world, anna, card_id)
    assert (given.code, given.card.holder_id, given.replayed) == (issued.code, None, False)
    assert (given.gift.giver_id, given.gift.recipient_name, given.gift.deliver_on) == (
        anna.customer_id,
        "Eva",
        date(2099, 5, 17),
    )
    assert reveal_code(world, anna, given.card) is None, "only who has the card reads the code"
    assert await cards_of(world, anna) == []
    claimed = await claim(world, eva, issued.code)
    assert claimed.card.holder_id == eva.customer_id
    assert reveal_code(world, eva, claimed.card) == issued.code
    assert await cards_of(world, eva) == [card_id]
    (kept,) = (await load_gifts_of_givers(world, anna, [anna.customer_id or CustomerId(card_id)])).values()
    assert [(gift.id, gift.claimer_id) for gift in kept] == [(given.gift.id, eva.customer_id)]
    assert kept[0].claimed_at is not None
    await ledger_is_sound(salon.tenant_id)


async def test_a_gift_can_be_spent_by_its_code_and_given_again(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    anna, eva = await customer(world, salon, "anna"), await customer(world, salon, "eva")
    issued = await issue(world, salon)
    await give(world, anna, issued.card.id)
    await spend_card(world, salon, issued.card.id, 1_000)
    await claim(world, eva, issued.code)
    again = await give(world, eva, issued.card.id, "give-2", Gift("Ben"))
    back = await claim(world, anna, issued.code, "claim-2")
    assert (back.card.holder_id, back.card.balance_minor) == (anna.customer_id, 4_000)
    (gifts,) = (await load_gifts_of_cards(world, salon.staff, [issued.card.id])).values()
    assert [(gift.recipient_name, gift.claimer_id) for gift in gifts] == [
        ("Ben", anna.customer_id),
        ("Eva", eva.customer_id),
    ]
    assert again.gift.id == gifts[0].id
    await ledger_is_sound(salon.tenant_id)


async def test_retries_do_nothing_again(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    anna, eva = await customer(world, salon, "anna"), await customer(world, salon, "eva")
    issued = await issue(world, salon)
    first = await give(world, anna, issued.card.id)
    async with nothing_changes(salon.tenant_id):
        again = await give(world, anna, issued.card.id)
        assert (again.replayed, again.gift, again.code) == (True, first.gift, issued.code)
        with pytest.raises(IdempotencyConflict):
            await give(world, anna, issued.card.id, gift=Gift("Somebody else"))
    await claim(world, eva, issued.code)
    assert (await claim(world, eva, issued.code)).replayed
    told_again = await give(world, anna, issued.card.id)
    assert (told_again.replayed, told_again.code) == (True, None), "the code is the new holder's now"


async def test_nobody_gives_what_they_do_not_have(
    world: World, salon: Salon, other_salon: Salon, nothing_changes: NothingChanges
) -> None:
    anna, eva = await customer(world, salon, "anna"), await customer(world, salon, "eva")
    stranger = await customer(world, other_salon, "anna")
    issued = await issue(world, salon)
    async with nothing_changes(salon.tenant_id):
        for actor in (eva, stranger, other_salon.manager):
            with pytest.raises(NotFound):
                await give(world, actor, issued.card.id)
    await give(world, anna, issued.card.id)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(NotFound):
            await give(world, anna, issued.card.id, "give-2")


async def test_the_team_gives_for_somebody_and_reads_no_code(world: World, salon: Salon) -> None:
    await customer(world, salon, "anna")
    issued = await issue(world, salon)
    assert (await give(world, salon.integration, issued.card.id)).code is None


@pytest.mark.parametrize(
    ("gift", "path"),
    [
        (Gift(" "), "recipient_name"),
        (Gift("x" * 201), "recipient_name"),
        (replace(FOR_EVA, recipient_email="eva"), "recipient_email"),
        (replace(FOR_EVA, recipient_email="eva @example.com"), "recipient_email"),
        (replace(FOR_EVA, message="x" * 1_001), "message"),
        (replace(FOR_EVA, deliver_on=date(2020, 1, 1)), "deliver_on"),
        (replace(FOR_EVA, deliver_on=date(9999, 1, 1)), "deliver_on"),
    ],
)
async def test_names_what_is_wrong_with_a_gift(
    world: World, salon: Salon, nothing_changes: NothingChanges, gift: Gift, path: str
) -> None:
    anna = await customer(world, salon, "anna")
    issued = await issue(world, salon)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await give(world, anna, issued.card.id, gift=gift)
        assert refused.value.path == (path,)


async def test_a_card_of_which_nothing_is_left_is_not_given(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    anna = await customer(world, salon, "anna")
    spent, void = await issue(world, salon), await issue(world, salon, key="issue-2")
    await spend_card(world, salon, spent.card.id, 5_000)
    await cancel_card(world, salon, void.card.id)
    async with nothing_changes(salon.tenant_id):
        for card in (spent.card, void.card):
            with pytest.raises(GiftCardEnded):
                await give(world, anna, card.id)


async def test_a_card_in_an_account_is_not_taken(world: World, salon: Salon) -> None:
    """Its holder gives it first, even to who knows the code."""
    await customer(world, salon, "anna")
    eva = await customer(world, salon, "eva")
    issued = await issue(world, salon)
    with pytest.raises(GiftCardHasOwner):
        await claim(world, eva, issued.code)
    assert (await load_gift_cards(world, salon.staff, [issued.card.id]))[issued.card.id].holder_id is not None


async def test_a_card_that_belongs_to_its_code_can_be_taken(world: World, salon: Salon) -> None:
    """A card from the shelf, that nobody has given."""
    eva = await customer(world, salon, "eva")
    issued = await issue(world, salon, customer=None)
    assert (await claim(world, eva, issued.code)).card.holder_id == eva.customer_id


async def test_the_team_claims_for_a_customer(world: World, salon: Salon) -> None:
    eva = await customer(world, salon, "eva")
    issued = await issue(world, salon, customer=None)
    with pytest.raises(InvalidInput) as refused:
        await claim_gift_card(world, salon.integration, issued.code, None, "claim-1")
    assert refused.value.path == ("customer",)
    with pytest.raises(NotFound):
        await claim_gift_card(world, salon.integration, issued.code, CustomerKey(external_id="nobody"), "claim-1")
    claimed = await claim_gift_card(world, salon.integration, issued.code, CustomerKey(external_id="eva"), "claim-1")
    assert claimed.card.holder_id == eva.customer_id


async def test_wrong_codes_are_counted_here_too(world: World, salon: Salon) -> None:
    eva = await customer(world, salon, "eva")
    for number in range(MAX_WRONG_CODES_OF_CUSTOMER):
        with pytest.raises(NotFound):
            await claim(world, eva, new_code(), f"claim-{number}")
    issued = await issue(world, salon, customer=None)
    with pytest.raises(TooManyWrongCodes):
        await claim(world, eva, issued.code, "claim-right")


async def test_strangers_see_no_gift(world: World, salon: Salon, other_salon: Salon) -> None:
    anna, eva = await customer(world, salon, "anna"), await customer(world, salon, "eva")
    issued = await issue(world, salon)
    gift = (await give(world, anna, issued.card.id)).gift
    assert set(await load_gifts(world, anna, [gift.id])) == {gift.id}
    assert set(await load_gifts(world, salon.staff, [gift.id])) == {gift.id}
    assert await load_gifts(world, eva, [gift.id]) == {}
    assert await load_gifts(world, other_salon.manager, [gift.id]) == {}


async def test_gifts_follow_a_merge(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    anna = await customer(world, salon, "anna")
    eva = await customer(world, salon, "eva")
    issued = await issue(world, salon)
    await give(world, anna, issued.card.id)
    await claim(world, eva, issued.code)
    await customer(world, salon, "carla")
    await merge(world, salon, "anna", "carla", key="merge-1")
    await merge(world, salon, "eva", "carla", key="merge-2")
    carla = await customer(world, salon, "carla")
    (gifts,) = (await load_gifts_of_givers(world, carla, [carla.customer_id or CustomerId(issued.card.id)])).values()
    assert [(gift.giver_id, gift.claimer_id) for gift in gifts] == [(carla.customer_id, carla.customer_id)]
    await ledger_is_sound(salon.tenant_id)


async def test_giving_takes_four_and_claiming_seven_round_trips(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    anna, eva = await customer(world, salon, "anna"), await customer(world, salon, "eva")
    issued = await issue(world, salon)
    with statements() as sent:
        await give(world, anna, issued.card.id)
    assert len(sent) == 4
    with statements() as sent:
        await claim(world, eva, issued.code)
    assert len(sent) == 7
