"""The audit log: every change of the configuration, written once and never changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from loyalty.rules.audit import AuditAction, AuditSubject, FieldChange
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import audit_entries
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, insert_rows, tenant_parameter


class AuditRow(NamedTuple):
    """One change of a part of the configuration, with who made it."""

    id: UUID
    subject: AuditSubject
    subject_id: str
    subject_name: str
    action: AuditAction
    changes: Sequence[FieldChange]
    happened_at: datetime
    actor_kind: str
    actor_subject: str
    actor: str


class AuditFilter(NamedTuple):
    """Limits the list of the audit log; None is no limit. ``actor`` is a name or the subject of a credential."""

    subjects: Sequence[AuditSubject] | None = None
    subject_id: str | None = None
    actions: Sequence[AuditAction] | None = None
    actor: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


_INSERT = insert_rows(audit_entries, "audited")
_ENTRIES = select(*(audit_entries.c[name] for name in AuditRow._fields)).where(
    audit_entries.c.tenant_id == tenant_parameter()
)
_BY_TIME = Keyset((audit_entries.c.happened_at, audit_entries.c.id), descending=True)
_BY_IDS = _ENTRIES.where(among(audit_entries.c.id, "ids"))


async def insert_audit_entries(tx: Transaction, rows: Sequence[AuditRow]) -> None:
    """Add entries to the log, in the transaction that makes the changes."""
    await tx.run(_INSERT, audited=[row._asdict() | {"changes": [list(one) for one in row.changes]} for row in rows])


async def read_audit_page(tx: Reads, wanted: AuditFilter, window: Window[TimePlace]) -> list[AuditRow]:
    """Return a page of the log, newest first unless the window says otherwise."""
    return [_row(row) for row in await _narrow(wanted).read(tx, window)]


async def count_audit_listed(tx: Reads, wanted: AuditFilter) -> int:
    """Count the entries of a list, up to its ceiling."""
    return await _narrow(wanted).count(tx)


async def read_audit_entries_by_id(tx: Reads, ids: Sequence[UUID]) -> dict[UUID, AuditRow]:
    """Return the entries among ``ids``."""
    return {row.id: _row(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


def _narrow(wanted: AuditFilter) -> Narrowed:
    known, rows = audit_entries.c, Narrowed(_ENTRIES, _BY_TIME)
    rows.keep_among(known.subject, wanted.subjects)
    rows.keep_equal(known.subject_id, wanted.subject_id)
    rows.keep_among(known.action, wanted.actions)
    rows.keep_within(known.happened_at, wanted.start_at, wanted.end_at)
    rows.keep_any_equal("actor", (known.actor, known.actor_subject), wanted.actor)
    return rows


def _row(row: Any) -> AuditRow:
    return AuditRow._make(row)._replace(
        subject=AuditSubject(row.subject),
        action=AuditAction(row.action),
        changes=[FieldChange(*one) for one in row.changes],
    )
