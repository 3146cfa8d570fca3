"""What time does to gift cards: expiry, extension, abandoned holds; and what a merge does to them."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from loyalty.ledger.posting import Posting, post
from loyalty.log.events import decode_row
from loyalty.log.reading import list_events
from loyalty.rules.errors import InvalidInput
from loyalty.rules.events import EventKind
from loyalty.rules.gift_card import GiftCardEntryKind, GiftCardState, spendable_minor, state_at
from loyalty.rules.gift_card_errors import GiftCardEnded
from loyalty.rules.gift_card_events import GiftCardExpiring
from loyalty.rules.gift_card_product import Validity, ValidityKind
from loyalty.rules.ids import GiftCardId
from loyalty.rules.redemption import HoldState
from loyalty.services.gift_card import load_gift_cards, reveal_code
from loyalty.services.gift_card_expiry import expire_due_cards, free_abandoned_card_holds
from loyalty.services.gift_card_listing import load_card_entries_of, load_card_holds
from loyalty.services.gift_card_notice import tell_expiring_cards
from loyalty.services.gift_card_product import create_product
from loyalty.services.world import World
from loyalty.storage.due import due_by, read_due_tenants
from loyalty.storage.events import EventRow
from loyalty.storage.gift_cards import GiftCardRow
from tenancy.database import Database, Transaction
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import at, customer_actor, known_customer, merge, position_all_events, product
from tests.loyalty.services.gift_cards import (
    cancel_card,
    capture_card,
    extend_card,
    hold_card,
    issue,
    release_card,
    return_card,
    spend_card,
)

TODAY = datetime.now(UTC)
LAST_DAY = date(TODAY.year + 1, 6, 30)
OVER = datetime(LAST_DAY.year, 6, 30, 22, tzinfo=UTC)
"""Midnight in Berlin, in summer."""


async def _card(world: World, salon: Salon, card_id: GiftCardId) -> GiftCardRow:
    return (await load_gift_cards(world, salon.manager, [card_id]))[card_id]


async def test_a_card_lives_until_the_end_of_the_third_year_unless_it_says_otherwise(
    world: World, salon: Salon
) -> None:
    long = (await issue(world, salon, customer=None)).card
    assert long.expires_at == datetime(TODAY.astimezone().year + 3, 12, 31, 23, tzinfo=UTC)
    assert (await issue(world, salon, key="short", customer=None, expires_on=LAST_DAY)).card.expires_at == OVER
    with pytest.raises(InvalidInput) as refused:
        await issue(world, salon, key="past", customer=None, expires_on=date(TODAY.year - 1, 1, 1))
    assert refused.value.path == ("expires_on",)


async def test_a_card_cannot_be_spent_from_the_very_instant_on_at_which_it_expires(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    card = (await issue(world, salon, customer=None, expires_on=LAST_DAY)).card
    just_before = at(world, OVER - timedelta(microseconds=1))
    held = await hold_card(just_before, salon, card.id, 1_000)
    assert spendable_minor(held.card.account, OVER) == 0
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(GiftCardEnded) as ended:
            await hold_card(at(world, OVER), salon, card.id, 1, "late")
    assert ended.value.card_state is GiftCardState.EXPIRED


class Killed(Exception):
    """A worker stops before its commit."""


async def all_events(world: World, salon: Salon, relay: Database) -> list[EventRow]:
    """Return the whole log of the salon."""
    await position_all_events(relay)
    return list(await list_events(world.database, salon.tenant_id, after=0))


def notices(log: list[EventRow], card_id: GiftCardId) -> list[tuple[int, int]]:
    """Return the days before and the amounts that were told of a card, in their order."""
    told = [decode_row(row).event for row in log if row.kind == EventKind.GIFT_CARD_EXPIRING]
    events = [one for one in told if isinstance(one, GiftCardExpiring) and one.gift_card_id == card_id]
    return [(one.days_before, one.amount_minor) for one in events]


async def test_its_holder_is_told_once_of_each_number_of_days_and_again_after_an_extension(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    """Two workers look at once, and one that comes late tells the last number only."""
    await known_customer(world, salon)
    card = (await issue(world, salon, expires_on=LAST_DAY)).card
    soon = at(world, OVER - timedelta(days=30))
    async with relay_database.engine.connect() as connection:
        due = await read_due_tenants(connection, due_by("gift_cards_notice_at_idx"), soon.clock(), 10_000)
    assert salon.tenant_id in due
    assert (await tell_expiring_cards(at(world, OVER - timedelta(days=31)), salon.tenant_id)).done == 0
    await asyncio.gather(*(tell_expiring_cards(soon, salon.tenant_id) for _ in range(4)))
    await spend_card(soon, salon, card.id, 1_000)
    late = at(world, OVER - timedelta(hours=20))
    for _ in range(3):
        await tell_expiring_cards(late, salon.tenant_id)
    log = await all_events(world, salon, relay_database)
    assert notices(log, card.id) == [(30, 5_000), (1, 4_000)]
    await extend_card(late, salon, card.id, LAST_DAY + timedelta(days=60))
    for days in (90, 30, 7, 1):
        await tell_expiring_cards(at(world, OVER + timedelta(days=60 - days)), salon.tenant_id)
    log = await all_events(world, salon, relay_database)
    assert notices(log, card.id)[2:] == [(30, 4_000), (7, 4_000), (1, 4_000)]
    await ledger_is_sound(salon.tenant_id)


async def test_no_notice_is_lost_or_doubled_when_a_worker_stops_before_its_commit(
    world: World, salon: Salon, relay_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon, expires_on=LAST_DAY)).card
    soon = at(world, OVER - timedelta(days=30))

    async def write_and_stop(tx: Transaction, posting: Posting) -> None:
        await post(tx, posting)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("loyalty.services.gift_card_notice.post_and_commit", write_and_stop)
        with pytest.raises(Killed):
            await tell_expiring_cards(soon, salon.tenant_id)
    assert notices(await all_events(world, salon, relay_database), card.id) == []
    await tell_expiring_cards(soon, salon.tenant_id)
    assert notices(await all_events(world, salon, relay_database), card.id) == [(30, 5_000)]


async def test_no_notice_is_told_of_a_card_that_is_spent_void_or_endless(
    world: World, salon: Salon, relay_database: Database
) -> None:
    await known_customer(world, salon)
    spent = await issue(world, salon, key="spent", expires_on=LAST_DAY)
    void = await issue(world, salon, key="void", expires_on=LAST_DAY)
    endless = (await create_product(world, salon.manager, product(validity=Validity(ValidityKind.NONE)))).product
    never = await issue(world, salon, key="never", face=None, product_id=endless.id)
    await spend_card(world, salon, spent.card.id, 5_000)
    await cancel_card(world, salon, void.card.id)
    await tell_expiring_cards(at(world, OVER - timedelta(days=30)), salon.tenant_id)
    log = await all_events(world, salon, relay_database)
    for one in (spent, void, never):
        assert notices(log, one.card.id) == []
    assert never.card.notice_at is None


async def test_the_team_is_told_of_a_card_of_nobody(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    card = await issue(world, salon, customer=None, expires_on=LAST_DAY)
    for _ in range(2):
        await tell_expiring_cards(at(world, OVER - timedelta(days=30)), salon.tenant_id)
    log = await all_events(world, salon, relay_database)
    assert notices(log, card.card.id) == [(30, 5_000)]
    assert (log[-1].customer_id, log[-1].payload["marketing_consent"]) == (None, False)
    await ledger_is_sound(salon.tenant_id)


async def test_a_card_from_before_notices_that_never_expires_is_looked_at_once(world: World, salon: Salon) -> None:
    """Migration 0047 gave every card a moment at which the sweep looks at it."""
    endless = (await create_product(world, salon.manager, product(validity=Validity(ValidityKind.NONE)))).product
    never = (await issue(world, salon, customer=None, face=None, product_id=endless.id)).card
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(text("UPDATE gift_cards SET notice_at = now() WHERE tenant_id = :current_tenant"))
    tomorrow = at(world, TODAY + timedelta(days=1))
    assert (await tell_expiring_cards(tomorrow, salon.tenant_id)).done == 1
    assert (await _card(world, salon, never.id)).notice_at is None
    assert (await tell_expiring_cards(tomorrow, salon.tenant_id)).done == 0


async def test_held_money_outlives_the_card_and_released_money_is_lost(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, relay_database: Database
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon, expires_on=LAST_DAY)).card
    before, after = at(world, OVER - timedelta(minutes=1)), at(world, OVER + timedelta(minutes=1))
    held = await hold_card(before, salon, card.id, 3_000, minutes=60)
    async with relay_database.engine.connect() as connection:
        assert salon.tenant_id in await read_due_tenants(connection, due_by("gift_cards_due_at_idx"), OVER, 10_000)
    assert (await expire_due_cards(after, salon.tenant_id)).done == 1
    assert (await expire_due_cards(after, salon.tenant_id)).done == 0
    assert (await _card(world, salon, card.id)).balance_minor == 3_000
    captured = await capture_card(after, salon, held.hold.id, 1_000)
    assert (captured.card.balance_minor, captured.card.held_minor) == (0, 0)
    entries = (await load_card_entries_of(world, salon.manager, [card.id]))[card.id]
    assert [(one.kind, one.amount_minor) for one in reversed(entries)] == [
        (GiftCardEntryKind.ISSUED, 5_000),
        (GiftCardEntryKind.EXPIRED, -2_000),
        (GiftCardEntryKind.SPENT, -1_000),
        (GiftCardEntryKind.EXPIRED, -2_000),
    ]
    with pytest.raises(GiftCardEnded):
        await return_card(after, salon, captured.hold.id)
    await ledger_is_sound(salon.tenant_id)


async def test_an_extension_brings_back_what_has_expired(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon, expires_on=LAST_DAY)).card
    spent = await spend_card(world, salon, card.id, 1_500)
    after = at(world, OVER + timedelta(hours=1))
    await expire_due_cards(after, salon.tenant_id)
    later = date(LAST_DAY.year + 1, 1, 31)
    async with nothing_changes(salon.tenant_id):
        for wrong in (LAST_DAY, date(TODAY.year, 1, 1)):
            with pytest.raises(InvalidInput) as refused:
                await extend_card(after, salon, card.id, wrong)
            assert refused.value.path == ("expires_on",)
    extended = await extend_card(after, salon, card.id, later)
    assert (extended.entry.kind, extended.entry.amount_minor, extended.card.balance_minor) == (
        GiftCardEntryKind.EXTENDED,
        3_500,
        3_500,
    )
    assert extended.card.expires_at == datetime(later.year, 1, 31, 23, tzinfo=UTC)
    assert (await extend_card(after, salon, card.id, later)).replayed
    assert (await extend_card(after, salon, card.id, date(later.year, 12, 31), "again")).entry.amount_minor == 0
    returned = await return_card(after, salon, spent.hold.id)
    assert returned.card.balance_minor == 5_000
    assert (await cancel_card(after, salon, card.id)).card.balance_minor == 0
    with pytest.raises(GiftCardEnded):
        await extend_card(after, salon, card.id, date(later.year + 2, 1, 1), "void")
    await ledger_is_sound(salon.tenant_id)


async def test_an_abandoned_hold_ends_by_itself(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, relay_database: Database
) -> None:
    await known_customer(world, salon)
    card = (await issue(world, salon)).card
    first = await hold_card(world, salon, card.id, 1_000, minutes=1)
    second = await hold_card(world, salon, card.id, 2_000, "second", minutes=2)
    third = await hold_card(world, salon, card.id, 500, "third", minutes=60)
    later = at(world, datetime.now(UTC) + timedelta(minutes=5))
    async with relay_database.engine.connect() as connection:
        assert salon.tenant_id in await read_due_tenants(
            connection, due_by("gift_card_holds_expires_at_idx"), later.clock(), 10_000
        )
    assert (await free_abandoned_card_holds(later, salon.tenant_id)).done == 2
    assert (await free_abandoned_card_holds(later, salon.tenant_id)).done == 0
    ids = [one.hold.id for one in (first, second, third)]
    holds = await load_card_holds(world, salon.manager, ids)
    assert [holds[one].state for one in ids] == [HoldState.EXPIRED, HoldState.EXPIRED, HoldState.ACTIVE]
    assert (await _card(world, salon, card.id)).held_minor == 500
    assert (await release_card(later, salon, first.hold.id)).hold.state is HoldState.EXPIRED
    await ledger_is_sound(salon.tenant_id)


async def test_a_merge_takes_the_cards_along(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await known_customer(world, salon)
    ben_id = await known_customer(world, salon, "ben")
    issued = await issue(world, salon)
    held = await hold_card(world, salon, issued.card.id, 1_000)
    await merge(world, salon, "anna", "ben", "merge-1")
    moved = await _card(world, salon, issued.card.id)
    assert (moved.buyer_id, moved.holder_id) == (ben_id, ben_id)
    assert reveal_code(world, customer_actor(salon.tenant_id, ben_id), moved) == issued.code
    assert (await capture_card(world, salon, held.hold.id)).card.balance_minor == 4_000
    assert state_at(moved.account, datetime.now(UTC)) is GiftCardState.ACTIVE
    await ledger_is_sound(salon.tenant_id)
