"""The audit log: services note what they change, and who may read it reads it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditAction, AuditedChange, compare_states
from loyalty.services.world import World
from loyalty.storage.audit import (
    AuditFilter,
    AuditRow,
    count_audit_listed,
    insert_audit_entries,
    read_audit_entries_by_id,
    read_audit_page,
)
from loyalty.storage.documents import to_document
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction


async def note_changes(tx: Transaction, by: Actor, at: datetime, changes: Sequence[AuditedChange]) -> None:
    """Write to the audit log what the actor ``by`` changes in this transaction.

    A change that leaves everything as it was is not written.
    """
    rows = []
    for one in changes:
        differing = compare_states(one.before, one.after)
        if not differing and one.action is AuditAction.CHANGED:
            continue
        rows.append(
            AuditRow(
                id=uuid7(),
                subject=one.subject,
                subject_id=one.subject_id,
                subject_name=one.name,
                action=one.action,
                changes=[to_document(tuple(field)) for field in differing],
                happened_at=at,
                actor_kind=by.kind,
                actor_subject=by.subject,
                actor=by.display,
            )
        )
    if rows:
        await insert_audit_entries(tx, rows)


async def list_audit_entries(
    world: World, actor: Actor, wanted: AuditFilter, window: Window[TimePlace]
) -> list[AuditRow]:
    """A page of the log, newest first unless the window says otherwise."""
    require(actor, Permission.AUDIT_READ, even_when_off=True)
    return await read_audit_page(world.database.reading(actor.tenant_id), wanted, window)


async def count_audit_entries(world: World, actor: Actor, wanted: AuditFilter) -> int:
    """How many entries a list has, up to the ceiling of counts."""
    require(actor, Permission.AUDIT_READ, even_when_off=True)
    return await count_audit_listed(world.database.reading(actor.tenant_id), wanted)


async def load_audit_entries(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, AuditRow]:
    """The entries among ``ids``."""
    require(actor, Permission.AUDIT_READ, even_when_off=True)
    return await read_audit_entries_by_id(world.database.reading(actor.tenant_id), ids)
