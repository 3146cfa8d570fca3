"""Codes of gift cards are sealed again under another key, while cards are used: then the old key can be removed."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from loyalty.services.gift_card import look_up_gift_card, open_code
from loyalty.services.gift_card_issue import IssuedCard
from loyalty.services.gift_card_reseal import ResealedSlice, reseal_codes
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeKeyMissing, CodeKeys
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import known_customer
from tests.loyalty.services.gift_cards import issue, spend_card

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice have three cards."""
    monkeypatch.setattr("loyalty.services.gift_card_reseal.SLICE", 3)


def keyed(world: World, *secrets: bytes) -> World:
    """Return the same world in a process with these keys, the newest first."""
    return replace(world, codes=CodeKeys.of(secrets))


async def sell(world: World, salon: Salon, many: int, key: str = "card") -> list[IssuedCard]:
    """Sell so many cards that nobody holds."""
    return [await issue(world, salon, key=f"{key} {number}", customer=None) for number in range(many)]


async def reseal(world: World, salon: Salon) -> list[ResealedSlice]:
    """Go through all cards."""
    return [done async for done in reseal_codes(world, salon.tenant_id)]


async def test_after_it_the_new_key_alone_finds_and_opens_every_code(
    world: World, salon: Salon, other_salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    old, both, new = keyed(world, OLD), keyed(world, NEW, OLD), keyed(world, NEW)
    sold = await sell(old, salon, 7)
    theirs = await sell(old, other_salon, 1)
    sold += await sell(both, salon, 1, "later")
    done = await reseal(both, salon)
    assert [(one.cards, one.resealed, one.damaged) for one in done] == [(3, 3, ()), (3, 3, ()), (2, 1, ())]
    for one in sold:
        found = await look_up_gift_card(new, salon.integration, one.code)
        assert (found.id, open_code(new, salon.manager, found)) == (one.card.id, one.code)
    assert [one.resealed for one in await reseal(new, salon)] == [0, 0, 0]
    found = await look_up_gift_card(old, other_salon.integration, theirs[0].code)
    assert found.id == theirs[0].card.id, "another tenant's cards are as they were"
    await ledger_is_sound(salon.tenant_id)


async def test_resealing_can_be_stopped_and_begun_again(world: World, salon: Salon) -> None:
    old, both, new = keyed(world, OLD), keyed(world, NEW, OLD), keyed(world, NEW)
    sold = await sell(old, salon, 7)
    stopped = reseal_codes(both, salon.tenant_id)
    await anext(stopped)
    await stopped.aclose()  # type: ignore[attr-defined]
    for one in sold:
        assert (await look_up_gift_card(both, salon.integration, one.code)).id == one.card.id
    assert [one.resealed for one in await reseal(both, salon)] == [0, 3, 1]
    for one in sold:
        assert (await look_up_gift_card(new, salon.integration, one.code)).id == one.card.id


async def test_a_missing_key_ends_it_and_changes_no_code(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await sell(keyed(world, OLD), salon, 2)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(CodeKeyMissing):
            await reseal(keyed(world, NEW), salon)


async def test_a_code_that_was_moved_from_another_card_is_named_and_left(world: World, salon: Salon) -> None:
    old, both = keyed(world, OLD), keyed(world, NEW, OLD)
    first, second = await sell(old, salon, 2)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(
            text("UPDATE gift_cards SET code_sealed = :sealed WHERE tenant_id = :current_tenant AND id = :card"),
            sealed=first.card.code_sealed,
            card=second.card.id,
        )
    (done,) = await reseal(both, salon)
    assert (done.resealed, done.damaged) == (1, (second.card.id,))


async def test_cards_are_used_while_their_codes_are_sealed_anew(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Two operators call it at once, and customers spend."""
    await known_customer(world, salon)
    old, both, new = keyed(world, OLD), keyed(world, NEW, OLD), keyed(world, NEW)
    sold = await sell(old, salon, 8)
    spent = [spend_card(both, salon, one.card.id, 1_000, f"spend {one.card.id}", order=None) for one in sold]
    await asyncio.gather(reseal(both, salon), *spent, reseal(both, salon))
    for one in sold:
        assert (await look_up_gift_card(new, salon.integration, one.code)).balance_minor == 4_000
    await ledger_is_sound(salon.tenant_id)
