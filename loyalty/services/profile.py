"""The profiles of customers. They are told with purchases and opening balances, or on their own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.ledger.posting import post, post_and_commit
from loyalty.ledger.program import CompiledProgram
from loyalty.rules.birthday import day_of_year
from loyalty.rules.customer import CustomerProfile, gather_profiles, validate_profile, validate_times
from loyalty.rules.errors import CustomerCandidate, IdentifierTaken, InvalidInput, LoyaltyError
from loyalty.rules.identifier import Identifier, IdentifierKey, identifiers_of
from loyalty.rules.ids import CustomerId
from loyalty.rules.search import fold_text
from loyalty.services.batch import LateRefusals, Refused, attempt_batch
from loyalty.services.program import program_in_force
from loyalty.services.world import World
from loyalty.storage.accounts import LockedCustomer, open_accounts
from loyalty.storage.consents import ConsentRow, read_consents
from loyalty.storage.customers import CustomerRow
from loyalty.storage.facts import round_times
from loyalty.storage.identifiers import read_identifier_owners
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows, require_any
from permissions.visibility import reads_contact
from tenancy.database import Transaction

MAX_BATCH = 1_000
MAX_CONSENTS = 20
"""The most consents of one customer that are shown, the newest ones."""

UpsertResult = CustomerRow | LoyaltyError


async def upsert_customers(world: World, actor: Actor, profiles: Sequence[CustomerProfile]) -> list[UpsertResult]:
    """Create customers, or change their profiles. Returns one result each; a refused one does not affect the others.

    Refusals of one: InvalidInput, IdentifierTaken. A value that is older than the known one changes nothing.
    """
    require_any(actor, Permission.PURCHASES_RECORD, Permission.LOYALTY_MANAGE, even_when_off=True)
    if not 1 <= len(profiles) <= MAX_BATCH:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
    refused: dict[int, LoyaltyError] = {}
    for position, profile in enumerate(profiles):
        if problems := validate_profile(profile):
            refused[position] = InvalidInput(problems)
    return await attempt_batch(partial(_upsert, world, actor, profiles), refused)


PROFILE_READERS = (
    Permission.LOYALTY_READ,
    Permission.LOYALTY_REPORT,
    Permission.LOYALTY_MANAGE,
    Permission.PURCHASES_RECORD,
    Permission.SELF_READ,
)
"""Each of these permissions is enough to get a customer in an answer.

Readers have them, and callers of mutations that return a customer.
"""


async def load_consents(world: World, actor: Actor, ids: Sequence[CustomerId]) -> dict[CustomerId, list[ConsentRow]]:
    """Return the newest ``MAX_CONSENTS`` consents of each customer whose contact the actor may read, newest first.

    A caller who only reports purchases may ask for consents in a payload, and gets none; the telephone number is the
    same.
    """
    require_any(actor, *PROFILE_READERS)
    readable = [customer_id for customer_id in ids if reads_contact(actor, customer_id)]
    if not readable:
        return {}
    tx = world.database.reading(actor.tenant_id)
    return await read_consents(tx, readable, MAX_CONSENTS)


async def refresh_profiles(
    tx: Transaction, program: CompiledProgram, by: Actor, profiles: Iterable[CustomerProfile], now: datetime
) -> dict[str, CustomerRow]:
    """Write profiles with their search words and consents. Return the customers after that, by external id."""
    book = Book(program, by, now)
    ids = _open_all(book, await open_customers(tx, profiles, now))
    await post(tx, book.finish())
    return _list_customers(book, ids)


async def open_customers(
    tx: Transaction, profiles: Iterable[CustomerProfile], now: datetime
) -> dict[str, LockedCustomer]:
    """Create or refresh customers by external id, and lock their accounts. Return them by external id.

    For a merged customer the target is returned. A profile of a merged customer changes the target. For each field the
    newest value counts, whether it was told about the source or about the target.
    """
    told = list(profiles)
    opened = await open_accounts(tx, build_profile_rows(told, now))
    targets = {name: one.profile.external_id for name, one in opened.items() if one.profile.external_id != name}
    if not any(profile.external_id in targets and profile.list_told_values() for profile in told):
        return opened
    names = targets | {target: target for target in targets.values()}
    become = await open_accounts(
        tx,
        build_profile_rows(
            [
                replace(profile, external_id=names[profile.external_id])
                for profile in told
                if profile.external_id in names
            ],
            now,
        ),
    )
    return opened | become | {name: become[target] for name, target in targets.items()}


def build_profile_rows(profiles: Iterable[CustomerProfile], now: datetime) -> list[dict[str, Any]]:
    """Return profiles in the form for ``open_accounts``, one row for each customer."""
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
            "birthday": (birthday := values.get("birthday")),
            "birth_day": day.number if birthday and (day := day_of_year(birthday)) else None,
            "identifiers": [one._asdict() for one in values.get("identifiers") or ()] or None,
            "tags": list(values.get("tags") or ()) or None,
            "marketing_consent": values.get("marketing_consent"),
            "consent_source": values.get("consent_source"),
            "facts_at": round_times(times),
            "search_name": fold_text(values.get("full_name") or ""),
            # The posting that writes the search words also writes this mark.
            "search_mark": "",
            "profile_kept": None,
            "created_at": now,
            "updated_at": now,
        }
        for external_id, (values, times) in gather_profiles(profiles, now).items()
    ]


async def _upsert(
    world: World, actor: Actor, profiles: Sequence[CustomerProfile], refused: Refused
) -> list[UpsertResult]:
    """Write the profiles that are not refused, in one transaction."""
    fit = {position: profile for position, profile in enumerate(profiles) if position not in refused}
    written: dict[str, CustomerRow] = {}
    if fit:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            program = await program_in_force(world, tx, even_when_off=True)
            now = world.now(program)
            _refuse_times(fit, now)
            opened = await open_customers(tx, fit.values(), now)
            if any(profile.identifiers for profile in fit.values()):
                await _refuse_taken_identifiers(tx, actor, fit, opened)
            book = Book(program, actor, now)
            ids = _open_all(book, opened)
            await post_and_commit(tx, book.finish())
            written = _list_customers(book, ids)
    return [refused.get(position) or written[profile.external_id] for position, profile in enumerate(profiles)]


def _refuse_times(profiles: Mapping[int, CustomerProfile], now: datetime) -> None:
    """Raise LateRefusals for profiles with wrong times by the tenant's clock; a sandbox has its own clock."""
    wrong = {position: validate_times(profile, now) for position, profile in profiles.items()}
    if any(wrong.values()):
        raise LateRefusals({position: InvalidInput(problems) for position, problems in wrong.items() if problems})


def _open_all(book: Book, opened: Mapping[str, LockedCustomer]) -> dict[str, CustomerId]:
    """Bring locked customers into a book. Return their ids by external id."""
    return {external_id: book.open(locked) for external_id, locked in opened.items()}


def _list_customers(book: Book, ids: Mapping[str, CustomerId]) -> dict[str, CustomerRow]:
    """Return the customers of a book by the external ids of ``ids``."""
    return {external_id: book.customer(customer_id) for external_id, customer_id in ids.items()}


async def _refuse_taken_identifiers(
    tx: Transaction, actor: Actor, profiles: Mapping[int, CustomerProfile], opened: Mapping[str, LockedCustomer]
) -> None:
    """Raise LateRefusals if a customer would get another customer's identifier.

    If two customers of the batch want the same identifier, the first one gets it. All items of the other one are
    refused.
    """
    told_first = {profile.external_id: opened[profile.external_id] for profile in profiles.values()}
    taken = _find_taken(told_first, await read_identifier_owners(tx, _list_keys(told_first.values())))
    may_know = allows(actor, Permission.LOYALTY_READ)
    refused = {
        position: _build_refusal(profile, key, owner if may_know else None)
        for position, profile in profiles.items()
        if profile.external_id in taken
        for key, owner in (taken[profile.external_id],)
    }
    if refused:
        raise LateRefusals(refused)


def _list_keys(customers: Iterable[LockedCustomer]) -> list[IdentifierKey]:
    """Return the keys of all identifiers of customers."""
    return [one.key for locked in customers for one in identifiers_of(locked.profile.identifiers)]


def _find_taken(
    opened: Mapping[str, LockedCustomer], owners: Mapping[IdentifierKey, CustomerCandidate]
) -> dict[str, tuple[IdentifierKey, CustomerCandidate]]:
    """Return the first identifier of each customer that another customer has, with its owner, by external id."""
    ids = {name: CustomerId(locked.profile.id) for name, locked in opened.items()}
    kept = {(ids[name], key) for name, locked in opened.items() for key in _list_keys([locked])}
    # A customer of the batch whose profile no longer has an identifier gives it up.
    holders = {key: owner for key, owner in owners.items() if owner.id not in ids.values() or (owner.id, key) in kept}
    taken: dict[str, tuple[IdentifierKey, CustomerCandidate]] = {}
    for name, locked in opened.items():
        profile = locked.profile
        for key in _list_keys([locked]):
            holder = holders.setdefault(key, CustomerCandidate(ids[name], profile.external_id, profile.full_name))
            if holder.id != ids[name]:
                taken[name] = (key, holder)
                break
    return taken


def _build_refusal(profile: CustomerProfile, key: IdentifierKey, owner: CustomerCandidate | None) -> IdentifierTaken:
    """Return the refusal of an item, with the path of the taken identifier if the item has it.

    An ``owner`` of None is not told to the caller.
    """
    told: Sequence[Identifier] = profile.identifiers or ()
    for position, identifier in enumerate(told):
        if identifier.key == key:
            path = ("identifiers", str(position), "value")
            return IdentifierTaken(identifier.type, identifier.value, owner, path)
    return IdentifierTaken(key.type or "", key.value, owner)
