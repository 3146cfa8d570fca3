"""The audit log: services note what they change, and who may read it reads it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditAction, AuditedChange, AuditSubject, compare_states
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
        differing = compare_states(to_document(one.before), to_document(one.after))
        if not differing and one.action is AuditAction.CHANGED:
            continue
        rows.append(
            AuditRow(
                id=uuid7(),
                subject=one.subject,
                subject_id=one.subject_id,
                subject_name=one.name,
                action=one.action,
                changes=differing,
                happened_at=at,
                actor_kind=by.kind,
                actor_subject=by.subject,
                actor=by.display,
            )
        )
    if rows:
        await insert_audit_entries(tx, rows)


class NamedPart(Protocol):
    """A row of a part of the configuration."""

    @property
    def id(self) -> UUID:
        """Its own id."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...


Part = TypeVar("Part", bound=NamedPart)


def describe_change(
    subject: AuditSubject, show: Callable[[Part], object], before: Part | None, after: Part | None
) -> AuditedChange:
    """Return what happens to a part; ``show`` returns what of it the log tells. One of the two rows is there."""
    known = after or before
    if known is None:
        raise ValueError("nothing changes")
    states = (None if row is None else show(row) for row in (before, after))
    return AuditedChange(subject, str(known.id), known.name, *states)


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
