"""Read the rows that belong to purchases, for many purchases in one statement: entries, holds, redemptions, history."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Text, Uuid, bindparam, select, true

from loyalty.rules.ids import PurchaseId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.storage.entries import EntryRow
from loyalty.storage.holds import HoldRow, hold_row
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow, purchase_columns, purchase_row
from loyalty.storage.redemptions import RedemptionRow, redemption_row
from loyalty.storage.tables import accruals, entries, holds, purchase_facts, purchases, redemptions
from tenancy.reading import Reads
from tenancy.table import record_set, tenant_parameter

MAX_RELATED = 100
"""The number of rows of one relation of one purchase that are read, the newest."""
FIRST_PAGE = 101
"""The number of holds or redemptions of one purchase that are read for many purchases at once: the largest page, and
one row more, which shows whether there is another page."""


class PurchaseFactRow(NamedTuple):
    """One fact of a purchase in its history."""

    purchase_id: PurchaseId
    version: int
    status: PurchaseStatus
    recorded_at: datetime
    recorded_by: str
    actor_kind: str | None = None
    actor_name: str | None = None
    reassignment: dict[str, Any] | None = None
    """If the fact is a reassignment: its two customers, its points, its actor and its reason."""


_keys = record_set("keys", [("kind", Text()), ("external_id", Text())])
_ids = record_set("ids", [("id", Uuid())])


def _newest_for_keys(columns: Sequence[Any], at: Any) -> Select[Any]:
    """Return the newest rows of a table that name each purchase. An index leads from the key to them."""
    table = columns[0].table
    related = (
        select(*columns)
        .where(
            table.c.tenant_id == tenant_parameter(),
            table.c.purchase_kind == _keys.c.kind,
            table.c.purchase_external_id == _keys.c.external_id,
        )
        .order_by(at.desc(), table.c.id.desc())
        .limit(FIRST_PAGE)
        .correlate(_keys)
        .lateral("related")
    )
    return select(*related.c).select_from(_keys.join(related, true()))


_HOLDS = _newest_for_keys([holds.c[name] for name in HoldRow._fields], holds.c.created_at)
_REDEMPTIONS = _newest_for_keys([redemptions.c[name] for name in RedemptionRow._fields], redemptions.c.redeemed_at)
_found = (
    select(*purchase_columns)
    .where(
        purchases.c.tenant_id == tenant_parameter(),
        purchases.c.kind == _keys.c.kind,
        purchases.c.external_id == _keys.c.external_id,
    )
    .correlate(_keys)
    .lateral("found")
)
_PURCHASES = select(*_found.c).select_from(_keys.join(_found, true()))
_fact = (
    select(
        *(purchase_facts.c[name] for name in PurchaseFactRow._fields if name != "reassignment"),
        purchase_facts.c.facts["reassignment"].label("reassignment"),
    )
    .where(purchase_facts.c.tenant_id == tenant_parameter(), purchase_facts.c.purchase_id == _ids.c.id)
    .order_by(purchase_facts.c.version.desc())
    .limit(MAX_RELATED)
    .correlate(_ids)
    .lateral("fact")
)
_REASSIGNMENT = select(purchase_facts.c.facts).where(
    purchase_facts.c.tenant_id == tenant_parameter(),
    purchase_facts.c.purchase_id == bindparam("purchase"),
    purchase_facts.c.fingerprint == bindparam("mark"),
)
_HISTORY = select(*_fact.c).select_from(_ids.join(_fact, true()))
_entry = (
    select(accruals.c.purchase_id, *(entries.c[name] for name in EntryRow._fields))
    .join_from(
        accruals,
        entries,
        (entries.c.tenant_id == accruals.c.tenant_id) & (entries.c.cause_id == accruals.c.id),
    )
    .where(
        accruals.c.tenant_id == tenant_parameter(),
        accruals.c.purchase_id == _ids.c.id,
        entries.c.tenant_id == tenant_parameter(),
    )
    .order_by(entries.c.occurred_at.desc(), entries.c.sequence.desc())
    .limit(MAX_RELATED)
    .correlate(_ids)
    .lateral("entry")
)
_ENTRIES = select(*_entry.c).select_from(_ids.join(_entry, true()))


async def read_purchases_by_keys(tx: Reads, keys: Sequence[PurchaseKey]) -> dict[PurchaseKey, PurchaseRow]:
    """Return the recorded purchases among ``keys``."""
    found = [purchase_row(row) for row in await tx.rows(_PURCHASES, keys=_documents(keys))]
    return {PurchaseKey(row.kind, row.external_id): row for row in found}


async def read_holds_for(tx: Reads, keys: Sequence[PurchaseKey]) -> dict[PurchaseKey, list[HoldRow]]:
    """Return the newest holds that name each purchase, newest first: the first page, and one more."""
    return _by_key(keys, [hold_row(row) for row in await tx.rows(_HOLDS, keys=_documents(keys))])


async def read_redemptions_of(tx: Reads, keys: Sequence[PurchaseKey]) -> dict[PurchaseKey, list[RedemptionRow]]:
    """Return the newest redemptions that paid for each purchase, newest first: the first page, and one more."""
    return _by_key(keys, [redemption_row(row) for row in await tx.rows(_REDEMPTIONS, keys=_documents(keys))])


async def read_histories(tx: Reads, ids: Sequence[PurchaseId]) -> dict[PurchaseId, list[PurchaseFactRow]]:
    """Return the newest facts of each purchase, newest first."""
    found: dict[PurchaseId, list[PurchaseFactRow]] = {purchase_id: [] for purchase_id in ids}
    for row in await tx.rows(_HISTORY, ids=_id_documents(ids)):
        fact = PurchaseFactRow._make(row)._replace(status=PurchaseStatus(row.status))
        found[fact.purchase_id].append(fact)
    return found


async def read_reassignment(tx: Reads, purchase_id: PurchaseId, mark: str) -> dict[str, Any]:
    """Return the stored reassignment of a purchase, found by the fingerprint of its fact."""
    (row,) = await tx.rows(_REASSIGNMENT, purchase=purchase_id, mark=mark)
    told: dict[str, Any] = row.facts["reassignment"]
    return told


async def read_entries_of(tx: Reads, ids: Sequence[PurchaseId]) -> dict[PurchaseId, list[EntryRow]]:
    """Return the newest entries that each purchase caused, newest first."""
    found: dict[PurchaseId, list[EntryRow]] = {purchase_id: [] for purchase_id in ids}
    for row in await tx.rows(_ENTRIES, ids=_id_documents(ids)):
        found[row.purchase_id].append(EntryRow._make(row[1:]))
    return found


def _by_key(keys: Sequence[PurchaseKey], rows: Sequence[Any]) -> dict[PurchaseKey, list[Any]]:
    found: dict[PurchaseKey, list[Any]] = {key: [] for key in keys}
    for row in rows:
        found[PurchaseKey(row.purchase_kind, row.purchase_external_id)].append(row)
    return found


def _documents(keys: Sequence[PurchaseKey]) -> list[dict[str, Any]]:
    return [key._asdict() for key in keys]


def _id_documents(ids: Sequence[PurchaseId]) -> list[dict[str, Any]]:
    return [{"id": purchase_id} for purchase_id in ids]
