"""The only list of the row classes of a posting, and how each is written. A class without a part here is refused.

`add_part` says how new rows of a class are written. `move_part` says how stored rows change. Both compare the fields of
the class with the columns of the table when this module is imported.
"""

from collections.abc import Collection
from typing import Any, cast

from sqlalchemy import Table, update

from loyalty.ledger import rows
from loyalty.ledger.part import Computed, Documents, Part, PostedRow
from loyalty.ledger.statements import (
    count_sold,
    drop_labels,
    find_unchanged_checkouts,
    find_unrecorded_purchases,
    put_off,
    save_checkouts,
    save_identifiers,
    save_keys,
    save_labels,
    save_purchases,
)
from loyalty.storage.accruals import AccrualRow
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.customer_archivings import ArchivingRow
from loyalty.storage.customer_merges import MergeRow
from loyalty.storage.documents import to_document
from loyalty.storage.gift_card_gifts import GiftRow
from loyalty.storage.gift_card_holds import GiftCardHoldRow
from loyalty.storage.gift_cards import GiftCardEntryRow, GiftCardRow
from loyalty.storage.holds import HoldRow
from loyalty.storage.idempotency import IdempotencyKeyRow
from loyalty.storage.opening_balances import OpeningBalanceRow
from loyalty.storage.purchases import PurchaseRow, fact_digest
from loyalty.storage.redemptions import RedemptionRow, ReturnRow
from loyalty.storage.refunds import RefundRow
from loyalty.storage.tables import (
    accounts,
    accruals,
    adjustments,
    allocations,
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
    events,
    expiry_notices,
    former_valuations,
    gift_card_entries,
    gift_card_gifts,
    gift_card_holds,
    gift_card_products,
    gift_cards,
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
from tenancy.table import encode_bytea, insert_rows, record_set, rows_parameter, tenant_parameter

ADDED: dict[type[PostedRow], Part] = {}
"""The part that writes new rows, for each class."""
MOVED: dict[type[PostedRow], Part] = {}
"""The part that changes stored rows, for each class. A row describes the stored row after the change."""
PARTS: list[Part] = []
"""All parts, in the order in which the posting statement has them."""


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
    """Register how new rows of a class are written: by a plain INSERT, or by ``statement``.

    ``documents`` says how some fields become JSON documents. ``left_out`` are the fields that are no columns.
    ``computed`` are the columns that the database computes. ``options`` are other fields of `Part`. Raises TypeError if
    the fields and the columns differ otherwise.
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
    """Register how stored rows change: the columns ``changing`` are written to the row with the same ``key``.

    The columns ``seen`` must still have the values that were read. Without ``seen`` the rows must be locked, so that no
    other transaction changes them. ``name`` is the name of the part, ``options`` are other fields of `Part`. Raises
    TypeError for a field that the class does not have.
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
    """Return the names of the fields of a NamedTuple class."""
    fields: tuple[str, ...] = cast("Any", row_class)._fields
    return fields


def _register(registry: dict[type[PostedRow], Part], row_class: type[PostedRow], part: Part) -> None:
    """Add a part to a registry and to PARTS. Raises TypeError if the class, or the name, has a part already."""
    if row_class in registry:
        raise TypeError(f"{row_class.__name__} is written by {registry[row_class].name} already")
    if any(known.name == part.name for known in PARTS):
        raise TypeError(f"{part.name} is the name of another part already")
    registry[row_class] = part
    PARTS.append(part)


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────

add_part(PurchaseRow, purchases, statement=save_purchases(), counted=True, races=True)
add_part(IdempotencyKeyRow, idempotency_keys, statement=save_keys(), counted=True)
move_part(
    AccrualRow,
    accruals,
    (
        *("state", "points", "voided_points", "reversed_points", "matures_at", "matured_at", "raised_standing"),
        *("earned_points", "taken_points", "valuation", "points_paid_minor", "breakdown"),
        "cards_paid_minor",
    ),
    name="accrual_moves",
    seen=("state",),
)
move_part(PurchaseRow, purchases, ("evaluates_at",), name="purchase_moves", seen=("evaluates_at",))
add_part(rows.CheckoutVersion, checkouts, statement=save_checkouts(), counted=True)
add_part(rows.SeenCheckout, checkouts, statement=find_unchanged_checkouts(), name="seen_checkouts", counted=True)
add_part(
    rows.UnrecordedPurchase, checkouts, statement=find_unrecorded_purchases(), name="unrecorded_purchases", counted=True
)
move_part(
    HoldRow,
    holds,
    (
        *("state", "captured_points", "ended_at", "lowered_points", "lowered_at", "discount_minor"),
        *("ended_actor_kind", "ended_actor", "ended_reason", "location"),
    ),
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
move_part(
    GiftCardRow,
    gift_cards,
    ("balance_minor", "held_minor", "sequence", "chain", "expires_at", "notice_at", "voided_at", "holder_id"),
    name="gift_card_moves",
    documents={"chain": encode_bytea},
)
move_part(
    GiftCardHoldRow,
    gift_card_holds,
    (
        *("state", "captured_minor", "returned_minor", "ended_at"),
        *("ended_actor_kind", "ended_actor", "ended_reason", "location"),
    ),
    name="gift_card_hold_moves",
)
move_part(GiftRow, gift_card_gifts, ("claimer_id", "claimed_at"), name="gift_moves")
add_part(rows.CustomerWord, customer_words, statement=save_labels(customer_words))
move_part(
    rows.SearchMark,
    customers,
    ("search_mark", "consent_kept", "profile_kept"),
    name="search_marks",
    also={"dropped_words": drop_labels(customer_words, "search_marks", told=("customer_id", "word"))},
)
add_part(rows.CustomerIdentifier, customer_identifiers, statement=save_identifiers(), counted=True)
add_part(
    rows.IdentifierOwner,
    customers,
    statement=drop_labels(customer_identifiers, "identifier_owners"),
    name="identifier_owners",
    beside={"customer_identifiers": drop_labels(customer_identifiers, "identifier_owners", told=("value", "type"))},
)
add_part(rows.CustomerTag, customer_tags, statement=save_labels(customer_tags))
add_part(
    rows.TagOwner,
    customers,
    statement=drop_labels(customer_tags, "tag_owners"),
    name="tag_owners",
    beside={"customer_tags": drop_labels(customer_tags, "tag_owners", told=("customer_id", "tag"))},
)
add_part(
    rows.PutOff,
    lots,
    statement=put_off(spare_moves=False),
    name="put_offs",
    beside={"lot_moves": put_off(spare_moves=True)},
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
add_part(rows.ProfileChange, customer_profile_changes)
add_part(ArchivingRow, customer_archivings)
add_part(OpeningBalanceRow, opening_balances, races=True)
add_part(rows.LedgerEntry, entries)
add_part(rows.OpenedLot, lots)
add_part(rows.LotAllocation, allocations)
add_part(rows.ExpiryNotice, expiry_notices)
add_part(rows.TierMove, tier_changes)
add_part(rows.OutboxEvent, events)
add_part(rows.ProductSale, gift_card_products, statement=count_sold(), name="gift_card_sales", counted=True)
add_part(GiftCardRow, gift_cards, documents=dict.fromkeys(("code_hash", "code_sealed", "chain"), encode_bytea))
add_part(GiftCardHoldRow, gift_card_holds)
add_part(GiftRow, gift_card_gifts)
add_part(GiftCardEntryRow, gift_card_entries, documents={"hash": encode_bytea})

refuse_class_without_part([one for one in vars(rows).values() if getattr(one, "__module__", "") == rows.__name__])
