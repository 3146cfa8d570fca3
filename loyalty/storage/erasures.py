"""Erase a person: remove from every table the texts that name a customer.

Numbers, ids and instants stay. If a hash covers a removed text, the text's SHA-256 is kept in a column beside it, so
that chains can still be proved. `tests/loyalty/services/test_customer_erase.py` compares every column of every table
with this module.
"""

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from loyalty.rules.customer import ERASED_PREFIX
from loyalty.rules.entry import ReferenceKind
from loyalty.rules.ids import CustomerId
from loyalty.storage.person import IS_OF_PERSON, belongs_to_person
from loyalty.storage.purchases import fact_digest
from loyalty.storage.tables import (
    accruals,
    adjustments,
    checkouts,
    customer_archivings,
    customer_consents,
    customer_identifiers,
    customer_merges,
    customer_profile_changes,
    customer_tags,
    customer_words,
    customers,
    entries,
    gift_card_entries,
    gift_card_gifts,
    gift_card_holds,
    gift_cards,
    holds,
    idempotency_keys,
    opening_balances,
    purchase_facts,
    purchase_refunds,
    purchases,
    redemption_returns,
    redemptions,
    tier_changes,
)
from permissions.actor import ActorKind
from tenancy.database import Transaction
from tenancy.retry import StaleRead
from tenancy.table import INSTANT, tenant_parameter


class PersonRow(NamedTuple):
    """A customer, or one who was merged into that customer, with the texts that name the person."""

    id: CustomerId
    external_id: str
    full_name: str
    email: str | None
    phone: str | None
    identifiers: list[dict[str, str]] | None


class TextsOf(NamedTuple):
    """The texts to remove from the rows of a table, and the names of actors who were this customer."""

    table: Table
    texts: dict[str, str | None]
    actors: tuple[tuple[str, str], ...] = ()
    """The column of the actor's name, and the column of the actor's kind."""


_ACTOR = (("actor", "actor_kind"),)
_ENDED = ("ended_actor", "ended_actor_kind")

TEXTS: Sequence[TextsOf] = (
    TextsOf(customer_consents, {"source": None}, _ACTOR),
    TextsOf(customer_archivings, {"note": None}, _ACTOR),
    TextsOf(customer_merges, {"reason": None}, _ACTOR),
    TextsOf(tier_changes, {"note": None}, (("actor_name", "actor_kind"),)),
    TextsOf(adjustments, {"internal_note": None, "customer_description": None}),
    TextsOf(opening_balances, {}, _ACTOR),
    TextsOf(holds, {"ended_reason": None}, (*_ACTOR, _ENDED)),
    TextsOf(redemptions, {}, _ACTOR),
    TextsOf(redemption_returns, {"reason": None}, _ACTOR),
    TextsOf(purchase_refunds, {"reason": None}, _ACTOR),
    TextsOf(gift_cards, {"reason": None}, _ACTOR),
    TextsOf(
        gift_card_gifts,
        {"recipient_name": "", "recipient_email": None, "message": None},
        _ACTOR,
    ),
)
"""The texts that no hash covers."""


# ── who it is ────────────────────────────────────────────────────────────────────────────────────────────────────

_PEOPLE = (
    select(*(customers.c[name] for name in PersonRow._fields)).where(IS_OF_PERSON).order_by(customers.c.external_id)
)
# In the order in which recordings and merges lock customers. Their external ids change, so nothing may refer to them.
_LOCK = _PEOPLE.with_for_update()


async def lock_person(tx: Transaction, customer_id: CustomerId) -> list[PersonRow]:
    """Lock the profiles of a customer and of all customers merged into it, before their accounts.

    Raises StaleRead if another customer was merged meanwhile: that profile is not locked yet.
    """
    locked = [PersonRow._make(row) for row in await tx.rows(_LOCK, customer=customer_id)]
    if {row.id for row in await tx.rows(_PEOPLE, customer=customer_id)} != {row.id for row in locked}:
        raise StaleRead
    return locked


# ── what goes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _sha256(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.sha256(func.convert_to(text, "UTF8"))


def _mask(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the replacement for an id that names the person. Equal ids get equal replacements, so keys stay keys."""
    return literal(ERASED_PREFIX, Text).op("||")(func.encode(_sha256(text), "hex"))


def _names_person(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition: a text holds one of the ``marks`` of the person, compared without case."""
    mark = func.unnest(bindparam("marks", type_=ARRAY(Text))).column_valued("mark")
    return select(literal(1)).where(func.strpos(func.lower(text), mark) > 0).exists()


def _mask_actors(table: Table, actors: Sequence[tuple[str, str]]) -> dict[str, ColumnElement[Any]]:
    """Return the replacements for the names of customers as actors; names of the team stay."""
    own = literal(str(ActorKind.CUSTOMER), Text)
    return {name: case((table.c[kind] == own, own), else_=table.c[name]) for name, kind in actors}


def _forget(texts: TextsOf) -> Update:
    table = texts.table
    taken = {**texts.texts, **_mask_actors(table, texts.actors)}
    return update(table).where(belongs_to_person(table)).values(taken)


_CUSTOMERS = (
    update(customers)
    .where(belongs_to_person(customers))
    .values(
        external_id=literal(ERASED_PREFIX, Text).op("||")(cast(customers.c.id, Text)),
        full_name="",
        search_name="",
        search_mark="",
        facts_at=cast(literal("{}", Text), JSONB),
        erased_at=bindparam("now", type_=INSTANT),
        updated_at=bindparam("now", type_=INSTANT),
        **dict.fromkeys(
            (
                *("email", "avatar_url", "locale", "category", "marketing_consent", "phone", "consent_source"),
                *("consent_kept", "birthday", "birth_day", "identifiers", "tags", "profile_kept"),
            ),
            null(),
        ),
    )
)

_IS_OWN = entries.c.actor_kind == ActorKind.CUSTOMER
_NO_REASON = {
    "reason": None,
    "reason_hash": func.coalesce(entries.c.reason_hash, _sha256(entries.c.reason)),
}
_ENTRIES = (
    update(entries)
    .where(belongs_to_person(entries), or_(entries.c.reason.is_not(None), _IS_OWN))
    .values(
        **_NO_REASON,
        actor_name=case((_IS_OWN, None), else_=entries.c.actor_name),
        actor_name_hash=case(
            (_IS_OWN, func.coalesce(entries.c.actor_name_hash, _sha256(entries.c.actor_name))),
            else_=entries.c.actor_name_hash,
        ),
    )
)

_OWN_CARDS = select(gift_cards.c.id).where(belongs_to_person(gift_cards))
_IS_OWN_CARD_HOLD = and_(
    gift_card_holds.c.tenant_id == tenant_parameter(), gift_card_holds.c.gift_card_id.in_(_OWN_CARDS)
)
_CARD_ENTRIES = (
    update(gift_card_entries)
    .where(
        gift_card_entries.c.tenant_id == tenant_parameter(),
        gift_card_entries.c.reason.is_not(None),
        gift_card_entries.c.gift_card_id.in_(_OWN_CARDS),
    )
    .values(reason=None, reason_hash=_sha256(gift_card_entries.c.reason))
)

_CARD_HOLDS = (
    update(gift_card_holds)
    .where(_IS_OWN_CARD_HOLD)
    .values(ended_reason=None, **_mask_actors(gift_card_holds, (*_ACTOR, _ENDED)))
)

_REFERENCES = (
    update(gift_cards)
    .where(belongs_to_person(gift_cards), _names_person(gift_cards.c.reference))
    .values(reference=_mask(gift_cards.c.reference))
)

# A purchase that was reassigned to another customer has left entries that name the first customer.
_OWN_PURCHASES = union_all(
    select(purchases.c.id).where(belongs_to_person(purchases)),
    select(entries.c.reference_id).where(
        belongs_to_person(entries), entries.c.reference_kind == ReferenceKind.PURCHASE
    ),
)
_told = purchase_facts.c.facts
_IS_OWN_FACT = and_(purchase_facts.c.tenant_id == tenant_parameter(), purchase_facts.c.purchase_id.in_(_OWN_PURCHASES))
# The reason of a reassignment stands with the other customer, too. This runs before the facts lose it.
_REASSIGNED = (
    update(entries)
    .where(
        entries.c.tenant_id == tenant_parameter(),
        tuple_(entries.c.reference_id, entries.c.reason).in_(
            select(purchase_facts.c.purchase_id, _told["reassignment"]["reason"].astext).where(_IS_OWN_FACT)
        ),
    )
    .values(_NO_REASON)
)
_without_reason = case(
    (
        _told["reassignment"].is_not(None),
        func.jsonb_set(_told, literal(["reassignment", "reason"], ARRAY(Text)), cast(literal("null", Text), JSONB)),
    ),
    else_=_told,
)
_masked_key = case(
    (_names_person(purchase_facts.c.report_key), _mask(purchase_facts.c.report_key)),
    else_=purchase_facts.c.report_key,
)
_masked_purchase = case(
    (
        _names_person(_told["external_id"].astext),
        func.jsonb_set(
            _without_reason,
            literal(["external_id"], ARRAY(Text)),
            func.to_jsonb(_mask(_told["external_id"].astext)),
        ),
    ),
    else_=_without_reason,
)
_FACTS = (
    update(purchase_facts)
    .where(_IS_OWN_FACT)
    .values(
        facts=_masked_purchase,
        report_key=_masked_key,
        **_mask_actors(purchase_facts, (("actor_name", "actor_kind"),)),
        digest=fact_digest(
            SimpleNamespace(
                **{column.name: column for column in purchase_facts.c}
                | {"facts": _masked_purchase, "report_key": _masked_key}
            )
        ),
    )
)

_NAMING = (
    (purchases, "kind", "external_id"),
    (holds, "purchase_kind", "purchase_external_id"),
    (redemptions, "purchase_kind", "purchase_external_id"),
)
_NAMED_PURCHASES = union_all(
    *(
        select(table.c[kind].label("kind"), table.c[name].label("external_id")).where(
            belongs_to_person(table), _names_person(table.c[name])
        )
        for table, kind, name in _NAMING
    ),
    select(gift_card_holds.c.purchase_kind, gift_card_holds.c.purchase_external_id).where(
        _IS_OWN_CARD_HOLD, _names_person(gift_card_holds.c.purchase_external_id)
    ),
).subquery("named_purchases")
_READ_NAMED = select(_NAMED_PURCHASES).distinct()
_RENAMED = tuple(
    update(table)
    .where(
        table.c.tenant_id == tenant_parameter(),
        table.c[kind] == bindparam("purchase_kind_is"),
        table.c[name] == bindparam("purchase_is"),
    )
    .values({name: _mask(table.c[name])})
    for table, kind, name in (
        *_NAMING,
        (checkouts, "purchase_kind", "purchase_external_id"),
        (gift_card_holds, "purchase_kind", "purchase_external_id"),
    )
)

_RESULTS = union_all(
    *(
        select(table.c.id).where(belongs_to_person(table))
        for table in (
            *(adjustments, holds, redemptions, redemption_returns, purchases, purchase_refunds, accruals),
            *(customer_merges, customers, gift_cards, gift_card_gifts),
        )
    ),
    select(gift_card_holds.c.id).where(_IS_OWN_CARD_HOLD),
    select(gift_card_entries.c.id).where(
        gift_card_entries.c.tenant_id == tenant_parameter(), gift_card_entries.c.gift_card_id.in_(_OWN_CARDS)
    ),
    select(cast(_told["reassignment"]["id"].astext, Uuid)).where(_IS_OWN_FACT, _told.has_key("reassignment")),
).subquery("results")
_KEYS = (
    update(idempotency_keys)
    .where(
        idempotency_keys.c.tenant_id == tenant_parameter(),
        idempotency_keys.c.result_id.in_(select(_RESULTS.c.id)),
        _names_person(idempotency_keys.c.key),
    )
    .values(key=_mask(idempotency_keys.c.key))
)

_LABELS = tuple(
    delete(table).where(belongs_to_person(table))
    for table in (customer_words, customer_identifiers, customer_tags, customer_profile_changes)
)
_FORGOTTEN = tuple(_forget(texts) for texts in TEXTS)


async def erase_person(tx: Transaction, ids: Sequence[CustomerId], marks: Sequence[str], now: datetime) -> None:
    """Erase a person: the customers ``ids``, whose accounts must be locked.

    ``marks`` are texts in small letters that name the person inside ids and keys of callers.
    """
    named = await tx.rows(_READ_NAMED, ids=list(ids), marks=list(marks)) if marks else []
    for statement in (*_LABELS, *_FORGOTTEN, _ENTRIES, _REASSIGNED, _CARD_ENTRIES, _CARD_HOLDS):
        await tx.run(statement, ids=list(ids))
    for statement in (_REFERENCES, _FACTS, _KEYS):
        await tx.run(statement, ids=list(ids), marks=list(marks))
    for row in named:
        for statement in _RENAMED:
            await tx.run(statement, purchase_kind_is=row.kind, purchase_is=row.external_id)
    await tx.run(_CUSTOMERS, ids=list(ids), now=now)
