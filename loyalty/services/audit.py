"""The audit log: services write their changes to it, and members with the permission read it."""

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
    """Write the changes of this transaction to the audit log, made by the actor ``by``.

    A change with equal states before and after is not written.
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
    """A row for one part of the configuration."""

    @property
    def id(self) -> UUID:
        """The id of the part."""
        ...

    @property
    def name(self) -> str:
        """The name of the part for people."""
        ...


Part = TypeVar("Part", bound=NamedPart)


def describe_change(
    subject: AuditSubject, show: Callable[[Part], object], before: Part | None, after: Part | None
) -> AuditedChange:
    """Return the change of a part for the audit log; ``show`` returns the state that the log keeps.

    At least one of ``before`` and ``after`` must be given, else ValueError is raised.
    """
    known = after or before
    if known is None:
        raise ValueError("nothing changes")
    states = (None if row is None else show(row) for row in (before, after))
    return AuditedChange(subject, str(known.id), known.name, *states)


async def list_audit_entries(
    world: World, actor: Actor, wanted: AuditFilter, window: Window[TimePlace]
) -> list[AuditRow]:
    """Return a page of the log, newest first unless the window says otherwise."""
    require(actor, Permission.AUDIT_READ, even_when_off=True)
    return await read_audit_page(world.database.reading(actor.tenant_id), wanted, window)


async def count_audit_entries(world: World, actor: Actor, wanted: AuditFilter) -> int:
    """Return the number of entries in a list, up to the ceiling of counts."""
    require(actor, Permission.AUDIT_READ, even_when_off=True)
    return await count_audit_listed(world.database.reading(actor.tenant_id), wanted)


async def load_audit_entries(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, AuditRow]:
    """Return the entries among ``ids``."""
    require(actor, Permission.AUDIT_READ, even_when_off=True)
    return await read_audit_entries_by_id(world.database.reading(actor.tenant_id), ids)
