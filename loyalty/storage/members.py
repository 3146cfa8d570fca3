"""The members of a tenant's team, with their roles and the times when they were added and removed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update

from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import members
from loyalty.storage.window import Keyset, TimePlace, Window
from permissions.roles import OWNER_ROLE_ID
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class MemberRow(NamedTuple):
    """A present or removed member of the team. ``subject`` is empty until an invited person has signed in."""

    id: UUID
    name: str
    email: str | None
    subject: str | None
    role_id: UUID
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str
    joined_at: datetime | None
    removed_at: datetime | None = None
    locations: list[str] | None = None


class MemberFilter(NamedTuple):
    """Limits a list of members; None is no limit."""

    present: bool | None = None
    """True for members who were not removed, False for removed ones."""
    role_id: UUID | None = None


_COLUMNS = [members.c[name] for name in MemberRow._fields]
_OURS = members.c.tenant_id == tenant_parameter()
_PRESENT = (_OURS, members.c.removed_at.is_(None))
_ROWS = select(*_COLUMNS).where(_OURS)
_BY_TIME = Keyset((members.c.created_at, members.c.id), descending=True)
_BY_IDS = _ROWS.where(among(members.c.id, "ids"))
_BY_EMAIL = select(*_COLUMNS).where(*_PRESENT, members.c.email == bindparam("email"))
_BY_SUBJECT = select(*_COLUMNS).where(*_PRESENT, members.c.subject == bindparam("subject"))
_OF_ROLE = select(*_COLUMNS).where(*_PRESENT, members.c.role_id == bindparam("role"))
_SCOPED = select(*_COLUMNS).where(*_PRESENT, members.c.locations.is_not(None))
_COUNT = select(func.count()).select_from(members).where(*_PRESENT)
_COUNT_OTHER_OWNERS = (
    select(func.count())
    .select_from(members)
    .where(
        *_PRESENT,
        members.c.role_id == OWNER_ROLE_ID,
        members.c.subject.is_not(None),
        members.c.id != bindparam("member"),
    )
)
_INSERT = insert(members).values(
    tenant_id=tenant_parameter(), **{name: bindparam(name) for name in MemberRow._fields if name != "removed_at"}
)
_CHANGE = (
    update(members)
    .where(*_PRESENT, members.c.id == bindparam("member"))
    .values(
        name=bindparam("new_name"),
        role_id=bindparam("new_role"),
        locations=bindparam("new_locations"),
        changed_at=bindparam("now"),
        changed_by=bindparam("actor"),
    )
)
_REMOVE = (
    update(members)
    .where(*_PRESENT, members.c.id == bindparam("member"))
    .values(removed_at=bindparam("now"), changed_at=bindparam("now"), changed_by=bindparam("actor"))
)
_JOIN = (
    update(members)
    .where(*_PRESENT, members.c.id == bindparam("member"), members.c.subject.is_(None))
    .values(subject=bindparam("person"), joined_at=bindparam("now"))
    .returning(*_COLUMNS)
)


def narrow_members(wanted: MemberFilter) -> Narrowed:
    """Return the list of members, ordered by the time when they were added."""
    rows = Narrowed(_ROWS, _BY_TIME)
    rows.keep_if("present", lambda: members.c.removed_at.is_(None), wanted.present)
    rows.keep_equal(members.c.role_id, wanted.role_id)
    return rows


async def read_member_page(tx: Reads, wanted: MemberFilter, window: Window[TimePlace]) -> list[MemberRow]:
    """Return a page of members, the last added first unless the window says otherwise."""
    return [MemberRow._make(row) for row in await narrow_members(wanted).read(tx, window)]


async def read_members_by_id(tx: Reads, ids: Sequence[UUID]) -> dict[UUID, MemberRow]:
    """Return the members among ``ids``, also removed ones."""
    return {row.id: MemberRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_member_of_email(tx: Reads, email: str) -> MemberRow | None:
    """Return the present member with this address."""
    row = await tx.row(_BY_EMAIL, email=email)
    return MemberRow._make(row) if row else None


async def read_member_of_subject(tx: Reads, subject: str) -> MemberRow | None:
    """Return the present member with this subject."""
    row = await tx.row(_BY_SUBJECT, subject=subject)
    return MemberRow._make(row) if row else None


async def read_members_of_role(tx: Reads, role_id: UUID) -> list[MemberRow]:
    """Return the present members with a role."""
    return [MemberRow._make(row) for row in await tx.rows(_OF_ROLE, role=role_id)]


async def read_scoped_members(tx: Reads) -> list[MemberRow]:
    """Return the present members with a scope of locations."""
    return [MemberRow._make(row) for row in await tx.rows(_SCOPED)]


async def count_members(tx: Reads) -> int:
    """Count the members, with invited ones."""
    row = await tx.row(_COUNT)
    return int(row[0]) if row else 0


async def count_other_owners(tx: Reads, member_id: UUID) -> int:
    """Count the owners who have signed in, without one member."""
    row = await tx.row(_COUNT_OTHER_OWNERS, member=member_id)
    return int(row[0]) if row else 0


async def insert_member(tx: Transaction, row: MemberRow) -> None:
    """Insert a new member."""
    kept = row._asdict()
    del kept["removed_at"]
    await tx.run(_INSERT, **kept)


async def change_member(tx: Transaction, row: MemberRow) -> None:
    """Write name, role and locations of a member."""
    await tx.run(
        _CHANGE,
        member=row.id,
        new_name=row.name,
        new_role=row.role_id,
        new_locations=row.locations,
        now=row.changed_at,
        actor=row.changed_by,
    )


async def remove_member(tx: Transaction, member_id: UUID, now: datetime, actor: str) -> None:
    """Remove a member from the team; the row stays."""
    await tx.run(_REMOVE, member=member_id, now=now, actor=actor)


async def join_member(tx: Transaction, member_id: UUID, subject: str, now: datetime) -> MemberRow | None:
    """Give an invited member their subject; None if the invitation was accepted before or withdrawn."""
    row = await tx.row(_JOIN, member=member_id, person=subject, now=now)
    return MemberRow._make(row) if row else None
