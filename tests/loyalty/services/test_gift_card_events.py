"""Events have gift cards as their subjects: also cards of nobody are told of, and nobody reads what is not theirs."""

from collections.abc import Sequence

import pytest

from loyalty.log.events import decode_row
from loyalty.rules.errors import PermissionDenied
from loyalty.rules.event_codec import EVENT_CLASSES
from loyalty.rules.event_subjects import EventSubject, Subject, find_subject
from loyalty.rules.ids import CustomerId, GiftCardId
from loyalty.services.event_log import poll_events
from loyalty.services.gift_card_gift import GiveRequest, claim_gift_card, give_gift_card
from loyalty.services.world import World
from loyalty.storage.events import EventFilter, EventRow
from permissions.actor import Actor
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon
from tests.loyalty.rules.payloads import make_sample
from tests.loyalty.services.builders import customer_actor, give, known_customer, position_all_events
from tests.loyalty.services.gift_cards import cancel_card, hold_card, issue, release_card, sell_card, spend_card
from tests.loyalty.services.test_gift_card_gift import FOR_EVA


async def read_about(
    world: World, relay: Database, actor: Actor, card_id: GiftCardId, customer_id: CustomerId | None = None
) -> list[EventRow]:
    """Return what the log tells an actor about a card."""
    await position_all_events(relay)
    wanted = EventFilter(customer_id=customer_id, subject=Subject(EventSubject.GIFT_CARD, card_id))
    page = await poll_events(world, actor, wanted, after=0, limit=100)
    assert page.more is False
    return page.events


def kinds_and_customers(events: Sequence[EventRow]) -> list[tuple[str, CustomerId | None]]:
    """Return what was told, and of whom."""
    return [(event.kind.removeprefix("gift_card."), event.customer_id) for event in events]


async def test_a_card_of_nobody_is_told_of_from_its_issue_to_its_end(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    card_id, other_id = await sell_card(world, salon), await sell_card(world, salon, key="another")
    held = await hold_card(world, salon, card_id, 500)
    await release_card(world, salon, held.hold.id)
    await spend_card(world, salon, card_id, 1_000)
    await cancel_card(world, salon, card_id)
    events = await read_about(world, relay_database, salon.staff, card_id)
    told = ["issued", "held", "released", "held", "spent", "voided"]
    assert kinds_and_customers(events) == [(kind, None) for kind in told]
    for event in events:
        logged = decode_row(event)
        assert find_subject(logged.event) == Subject(EventSubject.GIFT_CARD, card_id)
        assert logged.customer is None
    assert [event.payload["balance_minor"] for event in events] == [5_000, 5_000, 5_000, 5_000, 4_000, 0]
    assert kinds_and_customers(await read_about(world, relay_database, salon.staff, other_id)) == [("issued", None)]
    await ledger_is_sound(salon.tenant_id)


async def test_a_card_that_changes_hands_is_told_to_who_has_it_then(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    anna_id, eva_id = [await known_customer(world, salon, name) for name in ("anna", "eva")]
    anna, eva = customer_actor(salon.tenant_id, anna_id), customer_actor(salon.tenant_id, eva_id)
    issued = await issue(world, salon)
    card_id = issued.card.id
    await spend_card(world, salon, card_id, 100, "by-anna")
    await give_gift_card(world, anna, GiveRequest(card_id, FOR_EVA, "give"))
    await spend_card(world, salon, card_id, 100, "by-code")
    await claim_gift_card(world, eva, issued.code, None, "claim")
    await spend_card(world, salon, card_id, 100, "by-eva")
    # Anna bought it, so she is told of it until somebody else has it.
    of_anna = [(kind, anna_id) for kind in ("issued", "held", "spent", "given", "held", "spent")]
    of_eva = [("claimed", eva_id), ("held", eva_id), ("spent", eva_id)]
    events = await read_about(world, relay_database, salon.staff, card_id)
    assert kinds_and_customers(events) == [*of_anna, *of_eva]
    assert kinds_and_customers(await read_about(world, relay_database, anna, card_id, anna_id)) == of_anna
    assert kinds_and_customers(await read_about(world, relay_database, eva, card_id, eva_id)) == of_eva
    with pytest.raises(PermissionDenied):
        await read_about(world, relay_database, eva, card_id)
    assert await read_about(world, relay_database, eva, card_id, anna_id) == []
    await ledger_is_sound(salon.tenant_id)


async def test_another_business_is_told_nothing(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    card_id = await sell_card(world, salon)
    assert await read_about(world, relay_database, other_salon.staff, card_id) == []


async def test_events_of_points_are_about_their_customer(world: World, salon: Salon, relay_database: Database) -> None:
    anna_id = await known_customer(world, salon)
    await give(world, salon, 10, "bonus")
    await position_all_events(relay_database)
    (event,) = (await poll_events(world, salon.staff, EventFilter(), after=0, limit=10)).events
    assert event.customer_id == anna_id
    assert find_subject(decode_row(event).event) == Subject(EventSubject.CUSTOMER, anna_id)


@pytest.mark.parametrize("kind", sorted(EVENT_CLASSES))
def test_every_kind_of_event_has_a_subject(kind: str) -> None:
    subject = find_subject(make_sample(EVENT_CLASSES[kind]))
    is_of_card = kind.startswith("gift_card.")
    assert subject.kind is (EventSubject.GIFT_CARD if is_of_card else EventSubject.CUSTOMER)
