"""The members of a tenant's team: people are added, get another role, and are removed.

A person is known by their subject at a provider of the tenant. Or they are invited by an e-mail address, which the
provider has verified when they sign in. Each tenant has members of its own, so one person may be a member of several
tenants.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import LimitReached, NotFound, Problem, refuse_problems
from loyalty.rules.location import check_locations, tidy_locations
from loyalty.rules.member import (
    MAX_MEMBERS,
    MEMBER_NAME_MAX_LENGTH,
    SUBJECT_MAX_LENGTH,
    check_email,
    tidy_email,
)
from loyalty.rules.team_errors import AlreadyMember, LastOwner
from loyalty.rules.text import check_text
from loyalty.services.audit import note_changes
from loyalty.services.creation import Once, call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.location_scope import find_unknown_locations
from loyalty.services.revocation import revoke_tokens_in
from loyalty.services.team import EndedCredentials, end_credentials_beyond, lock_team
from loyalty.services.team_audit import describe_member
from loyalty.services.world import World
from loyalty.storage.members import (
    MemberFilter,
    MemberRow,
    change_member,
    count_members,
    count_other_owners,
    insert_member,
    narrow_members,
    read_member_of_email,
    read_member_of_subject,
    read_member_page,
    read_members_by_id,
    remove_member,
)
from loyalty.storage.oidc_issuers import OidcIssuerRow, read_issuers, read_issuers_by_id
from loyalty.storage.roles import read_held_roles
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor, subject_at_provider
from permissions.catalog import Permission
from permissions.policy import allows, check_role, check_scope, require, require_person
from permissions.roles import OWNER_ROLE_ID, HeldRole
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

NOTHING_ENDED = EndedCredentials([], [])


class Identity(NamedTuple):
    """A person at a provider of the tenant: the provider, and the claim `sub` of its tokens."""

    issuer_id: UUID
    subject: str


class MemberRequest(NamedTuple):
    """A person to add to the team, by an e-mail address or by an identity."""

    name: str
    role_id: UUID
    person: str | Identity
    idempotency_key: str | None = None
    locations: list[str] | None = None
    """The external ids of the locations that the member is limited to; None for the whole business."""

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        by = [self.person, None] if isinstance(self.person, str) else [None, list(self.person)]
        return fingerprint([self.name, self.role_id, *by], locations=self.locations)


class MemberChange(NamedTuple):
    """A change of a member. A field that is ABSENT keeps its stored value."""

    id: UUID
    name: str | object = ABSENT
    role_id: UUID | object = ABSENT
    locations: list[str] | object | None = ABSENT
    """None removes the limit."""
    keep_credentials: bool = False


class AddedMember(NamedTuple):
    """A new member. For a retry it is the member of the first call, as they are now."""

    member: MemberRow
    replayed: bool


class ChangedMember(NamedTuple):
    """A member after a change, and the credentials that ended because they had more rights than the member now.

    ``issuers`` are the providers that a removed member set last. They stay, so their mappings should be checked.
    """

    member: MemberRow
    ended: EndedCredentials
    issuers: Sequence[OidcIssuerRow] = ()


async def page_members(world: World, actor: Actor, wanted: MemberFilter, window: Window[TimePlace]) -> list[MemberRow]:
    """Return a page of the members, also removed ones unless the filter says otherwise."""
    require(actor, Permission.MEMBERS_READ, even_when_off=True)
    return await read_member_page(world.database.reading(actor.tenant_id), wanted, window)


async def count_listed_members(world: World, actor: Actor, wanted: MemberFilter) -> int:
    """Return the number of members in a list, up to the ceiling of counts."""
    require(actor, Permission.MEMBERS_READ, even_when_off=True)
    return await narrow_members(wanted).count(world.database.reading(actor.tenant_id))


async def load_members(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, MemberRow]:
    """Return the members among ``ids``. A caller who may not read members finds only themself."""
    if not allows(actor, Permission.MEMBERS_READ):
        ids = [one for one in ids if one == actor.member_id]
    return await read_members_by_id(world.database.reading(actor.tenant_id), ids)


async def add_member(world: World, actor: Actor, request: MemberRequest) -> AddedMember:
    """Add a person to the team, with a role that has no right the actor lacks.

    For an e-mail address it is an invitation: the person who signs in with the address becomes the member. An identity
    is a member at once, and its role replaces the roles of claims, so only owners may add one. Refusals: InvalidInput,
    NotFound (role, OIDC issuer), AlreadyMember, LimitReached, IdempotencyConflict.
    """
    require_person(actor, Permission.MEMBERS_MANAGE)
    if isinstance(request.person, Identity):
        require(actor, Permission.OWNERS_MANAGE, even_when_off=True)
    refuse_problems(_find_problems(request))
    request = request._replace(locations=tidy_locations(request.locations))
    once = call_once(actor, request.idempotency_key, "memberAdd", request.fingerprint())
    return await retry_transaction(lambda: _add(world, actor, request, once))


async def update_member(world: World, actor: Actor, change: MemberChange) -> ChangedMember:
    """Give a member another name, role or scope of locations.

    The change counts from the member's next request on; open sockets are closed. API tokens and OAuth clients whose
    secrets the member knows end if they have more rights than the member now, unless ``keep_credentials`` is set.
    Refusals: InvalidInput, NotFound (member, role), LastOwner.
    """
    require_person(actor, Permission.MEMBERS_MANAGE)
    if isinstance(change.name, str):
        refuse_problems([check_text(change.name, ("name",), MEMBER_NAME_MAX_LENGTH)])
    refuse_problems(check_locations(_read_scope(change)))
    return await retry_transaction(lambda: _update(world, actor, change))


async def end_membership(
    world: World, actor: Actor, member_id: UUID, *, keep_credentials: bool = False
) -> ChangedMember:
    """Remove a member: their next request is refused, even if a claim gives a role. Their sockets are closed.

    Their customer tokens end. API tokens and OAuth clients whose secrets they know end too, unless ``keep_credentials``
    is set. A second call changes nothing. Refusals: InvalidInput, NotFound, LastOwner.
    """
    require_person(actor, Permission.MEMBERS_MANAGE)

    async def work() -> ChangedMember:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            now = world.clock()
            by = await lock_team(tx, actor, now)
            before = await _find(tx, by, member_id)
            if before.removed_at is not None:
                return ChangedMember(before, NOTHING_ENDED)
            await _refuse_last_owner(tx, before)
            await remove_member(tx, member_id, now, actor.subject)
            row = before._replace(removed_at=now, changed_at=now, changed_by=actor.subject)
            await note_changes(tx, actor, now, [describe_member(before, row)])
            ended = NOTHING_ENDED
            if row.subject is not None:
                await revoke_tokens_in(tx, actor, row.subject, now)
                if not keep_credentials:
                    ended = await end_credentials_beyond(tx, actor, {row.subject}, (), now)
            issuers = [one for one in await read_issuers(tx) if one.changed_by == row.subject]
        return ChangedMember(row, ended, issuers)

    return await retry_transaction(work)


async def _add(world: World, actor: Actor, request: MemberRequest, once: Once) -> AddedMember:
    """Add a member in one transaction, or find the member of the first call."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        now = world.clock()
        by = await lock_team(tx, actor, now)
        made = await once.find_made(tx)
        if made is not None:
            return AddedMember((await read_members_by_id(tx, [made]))[made], replayed=True)
        role = await _find_role(tx, request.role_id)
        refuse_problems([check_role(by, role, ("role",)), check_scope(role.permissions, request.locations, ("role",))])
        refuse_problems(await find_unknown_locations(tx, request.locations))
        if await count_members(tx) >= MAX_MEMBERS:
            raise LimitReached("members", MAX_MEMBERS)
        row = await _new_row(tx, actor, request, now)
        await insert_member(tx, row)
        await note_changes(tx, actor, now, [describe_member(None, row)])
        await once.keep(tx, row.id, now)
    return AddedMember(row, replayed=False)


async def _new_row(tx: Transaction, actor: Actor, request: MemberRequest, now: datetime) -> MemberRow:
    """Return the row of the added person. Refusals: NotFound (OIDC issuer), AlreadyMember."""
    email, subject, person = None, None, request.person
    if isinstance(person, str):
        email = tidy_email(person)
        known = await read_member_of_email(tx, email)
    else:
        if person.issuer_id not in await read_issuers_by_id(tx, [person.issuer_id]):
            raise NotFound("OIDC issuer", ("person", "identity", "issuer"))
        subject = subject_at_provider(person.issuer_id, person.subject)
        known = await read_member_of_subject(tx, subject)
    if known is not None:
        raise AlreadyMember
    return MemberRow(
        id=uuid7(),
        name=request.name,
        email=email,
        subject=subject,
        role_id=request.role_id,
        created_at=now,
        created_by=actor.subject,
        changed_at=now,
        changed_by=actor.subject,
        joined_at=now if subject else None,
        locations=request.locations,
    )


async def _update(world: World, actor: Actor, change: MemberChange) -> ChangedMember:
    """Change a member in one transaction, and end credentials that have more rights than the member now."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        now = world.clock()
        by = await lock_team(tx, actor, now)
        before = await _find(tx, by, change.id)
        if before.removed_at is not None:
            raise NotFound("member", ("id",))
        row = before._replace(changed_at=now, changed_by=actor.subject)
        ended = NOTHING_ENDED
        if isinstance(change.name, str):
            row = row._replace(name=change.name)
        if isinstance(change.role_id, UUID) and change.role_id != before.role_id:
            refuse_problems([check_role(by, await _find_role(tx, change.role_id), ("role",))])
            await _refuse_last_owner(tx, before)
            row = row._replace(role_id=change.role_id)
        if change.locations is not ABSENT:
            row = row._replace(locations=_read_scope(change))
            refuse_problems(await find_unknown_locations(tx, row.locations))
        if (row.role_id, row.locations) != (before.role_id, before.locations):
            permissions = (await _find_role(tx, row.role_id)).permissions
            path = ("role",) if change.locations is ABSENT else ("locations",)
            refuse_problems([check_scope(permissions, row.locations, path)])
            if row.subject is not None and not change.keep_credentials:
                ended = await end_credentials_beyond(tx, actor, {row.subject}, permissions, now, row.locations)
        await change_member(tx, row)
        await note_changes(tx, actor, now, [describe_member(before, row)])
    return ChangedMember(row, ended)


def _read_scope(change: MemberChange) -> list[str] | None:
    """Return the locations of a change in stored form. None means no limit, or no change of the locations."""
    given = change.locations
    return tidy_locations(given) if isinstance(given, list) else None


async def _find(tx: Transaction, by: Actor, member_id: UUID) -> MemberRow:
    """Return a member whom this person may change: one with no right that the person lacks.

    Refusals: InvalidInput, NotFound.
    """
    row = (await read_members_by_id(tx, [member_id])).get(member_id)
    if row is None:
        raise NotFound("member", ("id",))
    held = (await read_held_roles(tx, [row.role_id])).get(row.role_id)
    if row.removed_at is None and held is not None:
        refuse_problems([check_role(by, held, ("id",))])
    return row


async def _find_role(tx: Transaction, role_id: UUID) -> HeldRole:
    """Return a role by its id. Refusal: NotFound."""
    found = (await read_held_roles(tx, [role_id])).get(role_id)
    if found is None:
        raise NotFound("role", ("role",))
    return found


async def _refuse_last_owner(tx: Transaction, row: MemberRow) -> None:
    """Raise LastOwner for the only owner who has signed in. An owner who never signed in may be changed."""
    if row.role_id == OWNER_ROLE_ID and row.subject is not None and not await count_other_owners(tx, row.id):
        raise LastOwner


def _find_problems(request: MemberRequest) -> list[Problem | None]:
    """Return the problems of a request to add a member, without a look at the database."""
    person = request.person
    return [
        check_text(request.name, ("name",), MEMBER_NAME_MAX_LENGTH),
        check_email(person, ("person", "email"))
        if isinstance(person, str)
        else check_text(person.subject, ("person", "identity", "subject"), SUBJECT_MAX_LENGTH),
        *check_locations(request.locations),
    ]
