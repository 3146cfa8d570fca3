"""How each row class of a posting is written: the only list. A row class without a part here is refused.

`add_part` says how new rows of a class are written, `move_part` how stored ones change. Both compare the fields of the
class with the columns of the table when this module is imported.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sqlalchemy import BigInteger, Table, Text, delete, extract, func, literal, select, update
from sqlalchemy import cast as cast_to

from loyalty.ledger import rows
from loyalty.rules.lots import LotState
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.customer_merges import MergeRow
from loyalty.storage.documents import to_document
from loyalty.storage.idempotency import IdempotencyKeyRow
from loyalty.storage.opening_balances import OpeningBalanceRow
from loyalty.storage.purchases import AccrualRow, PurchaseRow, RefundRow
from loyalty.storage.redemptions import HoldRow, RedemptionRow, ReturnRow
from loyalty.storage.tables import (
    accounts,
    accruals,
    adjustments,
    allocations,
    checkouts,
    customer_consents,
    customer_identifiers,
    customer_merges,
    customer_tags,
    customer_words,
    customers,
    entries,
    events,
    expiry_notices,
    former_valuations,
    hold_lots,
    holds,
    idempotency_keys,
    lots,
    opening_balances,
    purchase_facts,
    purchase_refunds,
    purchases,
    redemption_returns,
    redemptions,
    tier_changes,
)
from tenancy.table import INSTANT, insert_rows, record_set, rows_parameter, tenant_parameter


class PostedRow(Protocol):
    """A row of a posting: a NamedTuple."""

    def _asdict(self) -> dict[str, Any]: ...


Documents = Mapping[str, Callable[[Any], Any]]
"""How fields that the database keeps as JSON documents are turned into them."""


Computed = Mapping[str, Callable[[Any], Any]]
"""Columns that the database computes from the others of a row, as SQL over them."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part of the posting statement: how rows of one class reach their table.

    ``name`` is the JSON parameter of the rows. A ``counted`` part returns the rows it has written: fewer than were sent
    mean that another transaction was faster. A violated constraint means the same where a part ``races``. ``beside``
    are statements to take in place of ``statement`` where the posting has rows of another part too; ``also`` are
    statements that run besides it.
    """

    name: str
    statement: Any
    fields: tuple[str, ...]
    key: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    documents: Documents = field(default_factory=dict)
    counted: bool = False
    races: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, row: PostedRow, seen: PostedRow | None = None) -> dict[str, Any]:
        """A row as it travels, with the values that it was read with as ``seen_…``."""
        values = row._asdict()
        if len(self.fields) != len(values):
            values = {name: values[name] for name in self.fields}
        for name, encoded in self.documents.items():
            if name in values:
                values[name] = encoded(values[name])
        for name in self.seen:
            values[f"seen_{name}"] = getattr(seen, name)
        return values

    def statements(self, names: Collection[str]) -> Iterator[tuple[str, Any]]:
        """The statements of this part, by name, in a posting that has rows of the parts ``names``."""
        others = [statement for name, statement in self.beside.items() if name in names]
        yield f"saved_{self.name}", others[0] if others else self.statement
        yield from self.also.items()


ADDED: dict[type[PostedRow], Part] = {}
"""How new rows of each class are written."""
MOVED: dict[type[PostedRow], Part] = {}
"""How stored rows change that each class describes as they are afterwards."""
PARTS: list[Part] = []
"""Both, in the order in which the statement has them."""


def add_part(
    row_class: type[PostedRow],
    table: Table,
    *,
    statement: Any = None,
    documents: Documents | None = None,
    left_out: Collection[str] = (),
    computed: Computed | None = None,
    **options: Any,
) -> None:
    """Say how new rows of a class are written: plainly inserted, or as ``statement`` says.

    ``left_out`` names the fields that are no columns, ``computed`` columns that the database computes. Raises TypeError
    when fields and columns differ otherwise.
    """
    names = tuple(name for name in _fields_of(row_class) if name not in left_out)
    if statement is None:
        columns = {column.name for column in rows_parameter(table, table.name).c}
        if columns != set(names):
            raise TypeError(f"{row_class.__name__} and {table.name} differ in {sorted(columns ^ set(names))}")
        statement = insert_rows(table, table.name, computed=computed)
    part_name = options.pop("name", table.name)
    _register(ADDED, row_class, Part(part_name, statement, names, documents=documents or {}, **options))


def move_part(
    row_class: type[PostedRow],
    table: Table,
    changing: tuple[str, ...],
    *,
    name: str,
    seen: tuple[str, ...] = (),
    key: tuple[str, ...] = ("id",),
    **options: Any,
) -> None:
    """Say how stored rows change: ``changing`` are written where ``key`` is the same, and ``seen`` is as it was read.

    Without ``seen`` the rows must be locked, so that nobody moves them meanwhile. Raises TypeError for a field that the
    class does not have.
    """
    missing = {*changing, *seen, *key} - set(_fields_of(row_class))
    if missing:
        raise TypeError(f"{row_class.__name__} has no {sorted(missing)}")
    columns = [(column, table.c[column].type) for column in (*key, *changing)]
    moved = record_set(name, [*columns, *((f"seen_{column}", table.c[column].type) for column in seen)])
    statement: Any = (
        update(table)
        .where(
            table.c.tenant_id == tenant_parameter(),
            *(table.c[column] == moved.c[column] for column in key),
            *(table.c[column] == moved.c[f"seen_{column}"] for column in seen),
        )
        .values({column: moved.c[column] for column in changing})
    )
    if seen:
        statement = statement.returning(*(table.c[column] for column in key))
    part = Part(name, statement, (*key, *changing), key=key, seen=seen, counted=bool(seen), **options)
    _register(MOVED, row_class, part)


def refuse_class_without_part(row_classes: Collection[type[PostedRow]]) -> None:
    """Raise TypeError for a row class that no part writes: its rows would be lost."""
    forgotten = [row_class.__name__ for row_class in row_classes if row_class not in ADDED and row_class not in MOVED]
    if forgotten:
        raise TypeError(f"no part of a posting writes {', '.join(sorted(forgotten))}")


def _fields_of(row_class: type[PostedRow]) -> tuple[str, ...]:
    fields: tuple[str, ...] = cast("Any", row_class)._fields
    return fields


def _register(registry: dict[type[PostedRow], Part], row_class: type[PostedRow], part: Part) -> None:
    if row_class in registry:
        raise TypeError(f"{row_class.__name__} is written by {registry[row_class].name} already")
    if any(known.name == part.name for known in PARTS):
        raise TypeError(f"{part.name} is the name of another part already")
    registry[row_class] = part
    PARTS.append(part)


# ── statements of their own ──────────────────────────────────────────────────────────────────────────────────────


def _save_purchases() -> Any:
    """Insert, or move to the next version; a purchase that somebody else moved meanwhile is left alone and missed."""
    statement = insert_rows(purchases, "purchases")
    changing = (
        "customer_id",
        "status",
        "version",
        "generation",
        "total_minor",
        "refunded_minor",
        "currency",
        "lines",
        "exchange",
        "location",
        "staff",
        "told_at",
    )
    times = ("booked_at", "starts_at", "ends_at", "occurred_at", "evaluates_at", "updated_at")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "external_id"],
        set_={name: statement.excluded[name] for name in (*changing, *times)},
        where=purchases.c.version == statement.excluded.version - 1,
    ).returning(purchases.c.id)


def _save_keys() -> Any:
    """Keep idempotency keys; one that a concurrent transaction has just kept is missed."""
    statement = insert_rows(idempotency_keys, "idempotency_keys")
    return statement.on_conflict_do_nothing().returning(idempotency_keys.c.key)


def _save_checkouts() -> Any:
    """Open a checkout, or move it to the next version; one that somebody else moved meanwhile is missed."""
    statement = insert_rows(checkouts, "checkouts")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "purchase_kind", "purchase_external_id"],
        set_={"version": statement.excluded.version},
        where=checkouts.c.version == statement.excluded.version - 1,
    ).returning(checkouts.c.version)


def _see_checkouts() -> Any:
    """Find the checkouts that still have the version they were read with, 0 where there was none."""
    seen = rows_parameter(checkouts, "seen_checkouts", rows.SeenCheckout._fields)
    now = (
        select(checkouts.c.version)
        .where(
            checkouts.c.tenant_id == tenant_parameter(),
            checkouts.c.purchase_kind == seen.c.purchase_kind,
            checkouts.c.purchase_external_id == seen.c.purchase_external_id,
        )
        .scalar_subquery()
    )
    return select(seen.c.version).where(func.coalesce(now, 0) == seen.c.version)


def _save_words() -> Any:
    """Add the words that a search does not have yet."""
    return insert_rows(customer_words, "customer_words").on_conflict_do_nothing()


def _drop_words() -> Any:
    """Take away the words of customers who have others now."""
    marked = rows_parameter(customers, "search_marks", ["id"])
    words = rows_parameter(customer_words, "customer_words")
    kept = select(words.c.word).where(
        words.c.customer_id == customer_words.c.customer_id, words.c.word == customer_words.c.word
    )
    return delete(customer_words).where(
        customer_words.c.tenant_id == tenant_parameter(),
        # An array, so that the words are found by their customers however many there are.
        customer_words.c.customer_id == func.any(func.array(select(marked.c.id).scalar_subquery())),
        ~kept.exists(),
    )


def _owners(parameter: str) -> Any:
    """The customers of a parameter as an array, so that their rows are found however many there are."""
    owners = rows_parameter(customers, parameter, ["id"])
    return func.any(func.array(select(owners.c.id).scalar_subquery()))


def _save_identifiers() -> Any:
    """Let identifiers lead to customers; one of a customer who does not give it up in this posting is missed."""
    statement = insert_rows(customer_identifiers, "customer_identifiers", ordered_by="value")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "value", "type"],
        set_={"customer_id": statement.excluded.customer_id},
        where=customer_identifiers.c.customer_id == _owners("identifier_owners"),
    ).returning(customer_identifiers.c.value)


def _drop_identifiers(*, keep: bool) -> Any:
    """Take away the identifiers of owners; with ``keep`` only those that the posting gives to nobody."""
    statement = delete(customer_identifiers).where(
        customer_identifiers.c.tenant_id == tenant_parameter(),
        customer_identifiers.c.customer_id == _owners("identifier_owners"),
    )
    if not keep:
        return statement
    told = rows_parameter(customer_identifiers, "customer_identifiers")
    kept = select(told.c.value).where(
        told.c.value == customer_identifiers.c.value, told.c.type == customer_identifiers.c.type
    )
    return statement.where(~kept.exists())


def _save_tags() -> Any:
    """Add the tags that a filter does not have yet."""
    return insert_rows(customer_tags, "customer_tags").on_conflict_do_nothing()


def _drop_tags(*, keep: bool) -> Any:
    """Take away the tags of owners; with ``keep`` only those that the posting does not tell."""
    statement = delete(customer_tags).where(
        customer_tags.c.tenant_id == tenant_parameter(), customer_tags.c.customer_id == _owners("tag_owners")
    )
    if not keep:
        return statement
    told = rows_parameter(customer_tags, "customer_tags")
    kept = select(told.c.tag).where(
        told.c.customer_id == customer_tags.c.customer_id, told.c.tag == customer_tags.c.tag
    )
    return statement.where(~kept.exists())


def _put_off(*, spare_moves: bool) -> Any:
    """Put off the expiry of open lots that live as long as their owner is active, and are not over yet.

    ``spare_moves`` leaves out the lots that the same posting moves: one statement cannot write a row twice. Where the
    customer was active on the same day already, the index of open lots leads to no row.
    """
    names = ("customer_id", "inactivity_days", "expires_at", "notice_at")
    put_offs = record_set("put_offs", [*((name, lots.c[name].type) for name in names), ("active_at", INSTANT)])
    statement = update(lots).where(
        lots.c.tenant_id == tenant_parameter(),
        lots.c.customer_id == put_offs.c.customer_id,
        lots.c.state == literal(LotState.OPEN),
        lots.c.inactivity_days == put_offs.c.inactivity_days,
        lots.c.expires_at > put_offs.c.active_at,
        lots.c.expires_at < put_offs.c.expires_at,
    )
    if spare_moves:
        statement = statement.where(lots.c.id.not_in(select(rows_parameter(lots, "lot_moves", ["id"]).c.id)))
    return statement.values(expires_at=put_offs.c.expires_at, notice_at=put_offs.c.notice_at)


def fact_digest(fact: Any) -> Any:
    """The SHA-256 (FIPS 180-4) of all that a fact says, as SQL over its columns.

    It is taken over the columns as UTF-8 text with `|` between them: the document as PostgreSQL writes it, the instant
    as whole microseconds since 1970 in UTC, nothing for null.
    """
    recorded_at = cast_to(extract("epoch", fact.recorded_at) * 1_000_000, BigInteger)
    said = (
        *(fact.purchase_id, fact.version, fact.fingerprint, fact.status, cast_to(fact.facts, Text)),
        *(recorded_at, fact.recorded_by),
        *(func.coalesce(column, "") for column in (fact.report_key, fact.report_client, fact.state_mark)),
    )
    return func.sha256(func.convert_to(func.concat_ws("|", *said), "UTF8"))


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────

add_part(PurchaseRow, purchases, statement=_save_purchases(), counted=True, races=True)
add_part(IdempotencyKeyRow, idempotency_keys, statement=_save_keys(), counted=True)
move_part(
    AccrualRow,
    accruals,
    (
        *("state", "points", "voided_points", "reversed_points", "matures_at", "matured_at", "raised_standing"),
        *("earned_points", "taken_points", "valuation", "points_paid_minor", "breakdown"),
    ),
    name="accrual_moves",
    seen=("state",),
)
move_part(PurchaseRow, purchases, ("evaluates_at",), name="purchase_moves", seen=("evaluates_at",))
add_part(rows.CheckoutVersion, checkouts, statement=_save_checkouts(), counted=True)
add_part(rows.SeenCheckout, checkouts, statement=_see_checkouts(), name="seen_checkouts", counted=True)
move_part(
    HoldRow,
    holds,
    ("state", "captured_points", "ended_at", "lowered_points", "lowered_at", "discount_minor"),
    name="hold_moves",
    seen=("state", "lowered_points"),
)
move_part(RedemptionRow, redemptions, ("returned_points",), name="redemption_moves", seen=("returned_points",))
move_part(
    rows.ChangedLot,
    lots,
    ("remaining", "held", "expired", "state", "expires_at", "notice_at"),
    name="lot_moves",
)
move_part(rows.HeldLot, hold_lots, ("lowered_points",), name="hold_lot_moves", key=("hold_id", "lot_id"))
move_part(
    rows.ChangedAccount,
    accounts,
    tuple(name for name in rows.ChangedAccount._fields if name != "customer_id"),
    name="accounts",
    key=("customer_id",),
)
add_part(rows.CustomerWord, customer_words, statement=_save_words())
move_part(
    rows.SearchMark,
    customers,
    ("search_mark", "consent_kept"),
    name="search_marks",
    also={"dropped_words": _drop_words()},
)
add_part(rows.CustomerIdentifier, customer_identifiers, statement=_save_identifiers(), counted=True)
add_part(
    rows.IdentifierOwner,
    customers,
    statement=_drop_identifiers(keep=False),
    name="identifier_owners",
    beside={"customer_identifiers": _drop_identifiers(keep=True)},
)
add_part(rows.CustomerTag, customer_tags, statement=_save_tags())
add_part(
    rows.TagOwner,
    customers,
    statement=_drop_tags(keep=False),
    name="tag_owners",
    beside={"customer_tags": _drop_tags(keep=True)},
)
add_part(
    rows.PutOff,
    lots,
    statement=_put_off(spare_moves=False),
    name="put_offs",
    beside={"lot_moves": _put_off(spare_moves=True)},
)
add_part(rows.PurchaseFact, purchase_facts, computed={"digest": fact_digest})
add_part(RefundRow, purchase_refunds)
add_part(AccrualRow, accruals, documents={"policy": to_document})
add_part(rows.FormerValuation, former_valuations)
add_part(AdjustmentRow, adjustments)
add_part(HoldRow, holds)
add_part(rows.HeldLot, hold_lots)
add_part(RedemptionRow, redemptions)
add_part(ReturnRow, redemption_returns)
add_part(MergeRow, customer_merges, left_out=("source_external_id",))
add_part(rows.CustomerConsent, customer_consents)
add_part(OpeningBalanceRow, opening_balances, races=True)
add_part(rows.LedgerEntry, entries)
add_part(rows.OpenedLot, lots)
add_part(rows.LotAllocation, allocations)
add_part(rows.ExpiryNotice, expiry_notices)
add_part(rows.TierMove, tier_changes)
add_part(rows.OutboxEvent, events)

refuse_class_without_part([one for one in vars(rows).values() if getattr(one, "__module__", "") == rows.__name__])
