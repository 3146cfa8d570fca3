"""Limit wrong codes of gift cards, over all processes: each look-up by a code calls this module.

A refused code is counted too, else guessing would cost nothing. So the count is a transaction of its own.
"""

from collections.abc import Mapping

from loyalty.rules.gift_card_code import GiftCardCode, code_prefix
from loyalty.rules.gift_card_guess import (
    GUESS_WINDOW,
    MAX_WRONG_CODES_OF_CLIENT,
    MAX_WRONG_CODES_OF_CUSTOMER,
    MAX_WRONG_CODES_OF_PREFIX,
    MAX_WRONG_CODES_OF_TENANT,
    refuse_guesses,
)
from loyalty.services.world import World
from loyalty.storage.gift_card_guesses import count_guess
from permissions.actor import Actor, ActorKind
from tenancy.retry import retry_transaction

TENANT_SCOPE = "tenant"


async def limit_guesses(
    world: World, actor: Actor, code: GiftCardCode, *, known: bool, path: tuple[str, ...] = ("code",)
) -> None:
    """Count a code that no card has, and refuse a code if too many wrong ones came before.

    ``known`` says whether a card has the code. The caller must not tell that before this returns. The codes of one
    document, of many requests and of many processes wait for each other here. Refusal: TooManyWrongCodes.
    """
    limits, now = _find_limits(world, actor, code), world.clock()

    async def count() -> None:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            counted = await count_guess(tx, sorted(limits), wrong=not known, now=now, ends_at=now + GUESS_WINDOW)
        # After the commit: a refused guess counts too.
        refuse_guesses(counted, limits, known=known, path=path)

    await retry_transaction(count)


def _find_limits(world: World, actor: Actor, code: GiftCardCode) -> Mapping[str, int]:
    """Return the scopes that a code counts for, and how many wrong codes each allows."""
    is_customer = actor.kind is ActorKind.CUSTOMER
    # The prefix is hashed like a code, so that a copy of the database tells nothing about any card.
    beginning = world.codes.hash(actor.tenant_id, GiftCardCode(code_prefix(code)))
    return {
        f"client {actor.client}": MAX_WRONG_CODES_OF_CUSTOMER if is_customer else MAX_WRONG_CODES_OF_CLIENT,
        f"prefix {beginning.hex()}": MAX_WRONG_CODES_OF_PREFIX,
        TENANT_SCOPE: MAX_WRONG_CODES_OF_TENANT,
    }
