"""Wrong codes of gift cards are limited: for each caller, for many codes at a time, and over all processes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from loyalty.rules.gift_card_code import PREFIX_LENGTH, RANDOM_BITS, GiftCardCode, make_code
from loyalty.rules.gift_card_errors import TooManyWrongCodes
from loyalty.rules.gift_card_guess import (
    GUESS_WINDOW,
    MAX_WRONG_CODES_OF_CLIENT,
    MAX_WRONG_CODES_OF_CUSTOMER,
    MAX_WRONG_CODES_OF_PREFIX,
    MAX_WRONG_CODES_OF_TENANT,
)
from loyalty.rules.ids import CustomerId
from loyalty.services import gift_card_guess
from loyalty.services.gift_card_guess import limit_guesses
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import new_code
from permissions.actor import Actor
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.snapshots import snapshot
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, at, customer_actor


def somebody(salon: Salon) -> Actor:
    """Return a customer."""
    return customer_actor(salon.tenant_id, CustomerId(uuid7()))


def beginning_alike(count: int) -> list[GiftCardCode]:
    """Return codes that begin with the same symbols."""
    numbers = range(7 << RANDOM_BITS - 40, (7 << RANDOM_BITS - 40) + 2 * count)
    codes = [code for code in map(make_code, numbers) if code is not None][:count]
    assert len({code[:PREFIX_LENGTH] for code in codes}) == 1
    assert len(codes) == count
    return codes


async def passes(world: World, actor: Actor, code: GiftCardCode | None = None, *, known: bool = False) -> bool:
    """Tell whether a code was looked at."""
    try:
        await limit_guesses(world, actor, code or new_code(), known=known)
    except TooManyWrongCodes:
        return False
    return True


async def test_a_customer_tries_ten_wrong_codes_and_then_waits(world: World, salon: Salon) -> None:
    """C-24: the refusal says until when."""
    anna, noon = somebody(salon), at(world, NOON)
    for _ in range(MAX_WRONG_CODES_OF_CUSTOMER):
        assert await passes(noon, anna)
    with pytest.raises(TooManyWrongCodes) as refused:
        await limit_guesses(at(world, NOON + timedelta(minutes=5)), anna, new_code(), known=False, path=("by", "code"))
    assert (refused.value.retry_at, refused.value.path) == (NOON + GUESS_WINDOW, ("by", "code"))
    almost = at(world, NOON + GUESS_WINDOW - timedelta(microseconds=1))
    assert not await passes(almost, anna)
    after = at(world, NOON + GUESS_WINDOW)
    assert [await passes(after, anna) for _ in range(MAX_WRONG_CODES_OF_CUSTOMER + 1)] == [
        *[True] * MAX_WRONG_CODES_OF_CUSTOMER,
        False,
    ]


async def test_a_right_code_is_refused_like_a_wrong_one_then(world: World, salon: Salon) -> None:
    """Else a full window would tell which code is right."""
    anna, noon = somebody(salon), at(world, NOON)
    for _ in range(MAX_WRONG_CODES_OF_CUSTOMER):
        assert await passes(noon, anna)
    assert not await passes(noon, anna, known=True)
    assert await passes(at(world, NOON + GUESS_WINDOW), anna, known=True)


async def test_right_codes_never_count(world: World, salon: Salon) -> None:
    anna, noon, code = somebody(salon), at(world, NOON), new_code()
    for _ in range(MAX_WRONG_CODES_OF_CUSTOMER):
        for _ in range(3):
            assert await passes(noon, anna, code, known=True)
        assert await passes(noon, anna)
    assert not await passes(noon, anna, code, known=True)


async def test_codes_that_come_at_once_wait_for_each_other(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """Aliases of one document, many requests, several processes: of 60 at once ten are looked at, and not one more."""
    anna, noon = somebody(salon), at(world, NOON)
    elsewhere = Database(database_urls.app, pool_size=10)
    try:
        other_process = replace(noon, database=elsewhere)
        asked = await asyncio.gather(*(passes(one, anna) for one in (noon, other_process) for _ in range(30)))
    finally:
        await elsewhere.close()
    assert sum(asked) == MAX_WRONG_CODES_OF_CUSTOMER


async def test_many_callers_at_once_do_not_lock_each_other_out(world: World, salon: Salon) -> None:
    """They lock their scopes in one order, so nobody waits in a circle."""
    noon, callers = at(world, NOON), [somebody(salon) for _ in range(20)]
    asked = await asyncio.gather(
        *(passes(noon, caller, known=index % 2 == 0) for index in range(5) for caller in callers)
    )
    assert all(asked)


async def test_a_shop_asks_for_many_customers(world: World, salon: Salon) -> None:
    noon = at(world, NOON)
    asked = [await passes(noon, salon.integration) for _ in range(MAX_WRONG_CODES_OF_CLIENT + 1)]
    assert asked == [*[True] * MAX_WRONG_CODES_OF_CLIENT, False]
    assert await passes(noon, salon.manager), "everybody has a window of their own"


async def test_codes_that_begin_alike_are_counted_for_all_callers_together(world: World, salon: Salon) -> None:
    """A caller who knows half of a code gains nothing by asking as many customers."""
    noon, codes = at(world, NOON), beginning_alike(MAX_WRONG_CODES_OF_PREFIX + 1)
    asked = [await passes(noon, somebody(salon), code) for code in codes]
    assert asked == [*[True] * MAX_WRONG_CODES_OF_PREFIX, False]
    assert await passes(noon, somebody(salon)), "codes with another beginning are looked at"


async def test_a_tenant_has_a_limit_of_its_own(
    world: World, salon: Salon, other_salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_WRONG_CODES_OF_TENANT > MAX_WRONG_CODES_OF_CLIENT
    monkeypatch.setattr(gift_card_guess, "MAX_WRONG_CODES_OF_TENANT", 5)
    noon = at(world, NOON)
    assert [await passes(noon, somebody(salon)) for _ in range(6)] == [*[True] * 5, False]
    assert await passes(noon, somebody(other_salon)), "another tenant has nothing to do with it"


async def test_the_database_holds_no_part_of_a_code(world: World, salon: Salon) -> None:
    code = new_code()
    await limit_guesses(world, salon.integration, code, known=False)
    (stored,) = [await snapshot(world.database, salon.tenant_id)]
    rows = " ".join(str(row) for row in stored["gift_card_guesses"])
    assert len(stored["gift_card_guesses"]) == 3
    assert code[:PREFIX_LENGTH] not in rows.upper().replace("CLIENT", "")
    assert world.codes.hash(salon.tenant_id, code).hex() not in rows


async def test_windows_that_have_ended_are_forgotten(world: World, salon: Salon) -> None:
    for number in range(30):
        await passes(at(world, NOON + number * timedelta(seconds=1)), somebody(salon))
    later = at(world, NOON + timedelta(days=1))
    for _ in range(4):
        await passes(later, salon.integration)
    stored = (await snapshot(world.database, salon.tenant_id))["gift_card_guesses"]
    assert len(stored) == 1 + 1 + 4, "the client, the tenant, and four beginnings"


@pytest.mark.parametrize("known", [True, False])
async def test_counting_takes_one_round_trip_for_right_and_wrong_codes(
    world: World, salon: Salon, statements: StatementLog, *, known: bool
) -> None:
    with statements() as sent:
        await limit_guesses(world, salon.integration, new_code(), known=known)
    assert len(sent) == 1
