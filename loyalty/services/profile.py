"""What is known about customers themselves: told with purchases and opening balances, or on its own."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.ledger.posting import post
from loyalty.ledger.program import CompiledProgram
from loyalty.rules.customer import CustomerProfile, gather_profiles, validate_as_of, validate_profile
from loyalty.rules.errors import InvalidInput, LoyaltyError
from loyalty.rules.ids import CustomerId
from loyalty.rules.search import fold_text
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.accounts import open_accounts
from loyalty.storage.consents import ConsentRow, read_consents
from loyalty.storage.customers import CustomerRow
from loyalty.storage.facts import kept_times
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any
from permissions.visibility import reads_contact
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

MAX_BATCH = 1_000
MAX_CONSENTS = 20
"""Consents of one customer that are shown, the newest ones."""

UpsertResult = CustomerRow | LoyaltyError


async def upsert_customers(world: World, actor: Actor, profiles: Sequence[CustomerProfile]) -> list[UpsertResult]:
    """Create customers, or change what is known about them; one result each, a refused one harms no other.

    Refusals of one: InvalidInput. A fact that is older than what is known changes nothing.
    """
    require_any(actor, Permission.PURCHASES_RECORD, Permission.LOYALTY_MANAGE)
    if not 1 <= len(profiles) <= MAX_BATCH:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
    refused: dict[int, LoyaltyError] = {}
    for position, profile in enumerate(profiles):
        problems = [*validate_profile(profile), *validate_as_of(profile, world.clock())]
        if problems:
            refused[position] = InvalidInput(problems)
    fit = [profile for position, profile in enumerate(profiles) if position not in refused]
    found = await retry_transaction(partial(_upsert, world, actor, fit)) if fit else {}
    return [
        refused[position] if position in refused else found[profile.external_id]
        for position, profile in enumerate(profiles)
    ]


_READERS = (
    Permission.LOYALTY_READ,
    Permission.LOYALTY_REPORT,
    Permission.LOYALTY_MANAGE,
    Permission.PURCHASES_RECORD,
    Permission.SELF_READ,
)


async def load_consents(world: World, actor: Actor, ids: Sequence[CustomerId]) -> dict[CustomerId, list[ConsentRow]]:
    """The last ``MAX_CONSENTS`` consents of each customer whose person the actor may read, newest first.

    Who only reports purchases may select them in a payload, and gets none, as with the telephone number.
    """
    require_any(actor, *_READERS)
    readable = [customer_id for customer_id in ids if reads_contact(actor, customer_id)]
    if not readable:
        return {}
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_consents(tx, readable, MAX_CONSENTS)


async def refresh_profiles(
    tx: Transaction, program: CompiledProgram, by: Actor, profiles: Iterable[CustomerProfile], now: datetime
) -> dict[str, CustomerRow]:
    """Write what profiles say, with its words and consents; the customers as they are then, by external id."""
    opened = await open_accounts(tx, profile_rows(profiles, now))
    book = Book(program, by, now)
    ids = {external_id: book.open(locked) for external_id, locked in opened.items()}
    await post(tx, book.finish())
    return {external_id: book.customer(customer_id) for external_id, customer_id in ids.items()}


def profile_rows(profiles: Iterable[CustomerProfile], now: datetime) -> list[dict[str, Any]]:
    """Profiles as ``open_accounts`` takes them, one for each customer."""
    return [
        {
            "id": CustomerId(uuid7()),
            "external_id": external_id,
            "full_name": values.get("full_name") or "",
            "email": email.lower() if (email := values.get("email")) else None,
            "avatar_url": values.get("avatar_url"),
            "locale": values.get("locale"),
            "category": values.get("category"),
            "phone": values.get("phone"),
            "marketing_consent": values.get("marketing_consent"),
            "consent_source": values.get("consent_source"),
            "facts_at": kept_times(times),
            "search_name": fold_text(values.get("full_name") or ""),
            # Which words the search has is written by the posting that brings them.
            "search_mark": "",
            "created_at": now,
            "updated_at": now,
        }
        for external_id, (values, times) in gather_profiles(profiles, now).items()
    ]


async def _upsert(world: World, actor: Actor, profiles: Sequence[CustomerProfile]) -> dict[str, CustomerRow]:
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        program = await program_in_force(world, tx)
        return await refresh_profiles(tx, program, actor, profiles, world.now(program))
