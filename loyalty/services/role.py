"""The roles of a tenant's team: built-in ones, and roles that the tenant makes from permissions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import (
    DuplicateName,
    InvalidInput,
    LimitReached,
    NotFound,
    Problem,
    refuse_problems,
)
from loyalty.rules.member import MAX_ROLES, ROLE_NAME_MAX_LENGTH, check_daily_points
from loyalty.rules.team_errors import RoleInUse
from loyalty.rules.text import check_text, tidy_text
from loyalty.services.audit import note_changes
from loyalty.services.creation import call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.team import EndedCredentials, end_credentials_beyond, lock_team
from loyalty.services.team_audit import describe_role
from loyalty.services.world import World
from loyalty.storage.members import read_members_of_role
from loyalty.storage.oidc_issuers import parse_mapped_roles, read_issuers
from loyalty.storage.roles import (
    RoleRow,
    build_held_role,
    change_role,
    delete_role,
    insert_role,
    read_held_roles,
    read_roles,
    read_roles_by_id,
)
from permissions.actor import Actor
from permissions.catalog import Permission, to_grants
from permissions.policy import allows, check_grantable, check_reading, check_role, check_scope, require, require_person
from permissions.roles import BUILT_IN_BY_ID, BUILT_IN_ROLES, HeldRole
from tenancy.database import Transaction
from tenancy.retry import retry_transaction


class RoleRequest(NamedTuple):
    """A role as its maker asks for it."""

    name: str
    permissions: frozenset[Permission]
    daily_points: int = 0
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.name, sorted(self.permissions), self.daily_points])


class RoleChange(NamedTuple):
    """A change of a role. A field that is ABSENT keeps its stored value."""

    id: UUID
    name: str | object = ABSENT
    permissions: frozenset[Permission] | object = ABSENT
    daily_points: int | object = ABSENT


class CreatedRole(NamedTuple):
    """A new role. For a retry it is the role of the first call, as it is now."""

    role: HeldRole
    replayed: bool


class ChangedRole(NamedTuple):
    """A role after a change, and the credentials that ended because its members have fewer rights now."""

    role: HeldRole
    ended: EndedCredentials


async def list_roles(world: World, actor: Actor) -> list[HeldRole]:
    """Return all roles: the built-in ones, then those of the tenant, oldest first."""
    require(actor, Permission.MEMBERS_READ, even_when_off=True)
    own = await read_roles(world.database.reading(actor.tenant_id))
    return [*BUILT_IN_ROLES.values(), *(build_held_role(row) for row in own)]


async def load_roles(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, HeldRole]:
    """Return the roles among ``ids``. A caller who may not read members finds only their own."""
    if not allows(actor, Permission.MEMBERS_READ):
        return {role.id: role for role in actor.roles if role.id in ids}
    return await read_held_roles(world.database.reading(actor.tenant_id), ids)


async def create_role(world: World, actor: Actor, request: RoleRequest) -> CreatedRole:
    """Make a role from permissions that the actor has.

    Refusals: InvalidInput, DuplicateName, LimitReached, IdempotencyConflict.
    """
    require_person(actor, Permission.MEMBERS_MANAGE)
    once = call_once(actor, request.idempotency_key, "roleCreate", request.fingerprint())
    row = _new_row(actor, request, world.clock())

    async def work() -> CreatedRole:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            maker = await lock_team(tx, actor, row.created_at)
            made = await once.find_made(tx)
            if made is not None:
                found = await read_held_roles(tx, [made])
                if made not in found:
                    raise NotFound("role")
                return CreatedRole(found[made], replayed=True)
            refuse_problems(_find_problems(maker, row))
            others = await read_roles(tx)
            if len(others) >= MAX_ROLES:
                raise LimitReached("roles", MAX_ROLES)
            _refuse_known_name(row, others)
            await insert_role(tx, row)
            await note_changes(tx, actor, row.created_at, [describe_role(None, row)])
            await once.keep(tx, row.id, row.created_at)
        return CreatedRole(build_held_role(row), replayed=False)

    return await retry_transaction(work)


async def update_role(world: World, actor: Actor, change: RoleChange) -> ChangedRole:
    """Change a role of the tenant. Its members have the new rights from their next request on.

    Nobody may change their own role, or a role with rights that they lack. Credentials of partner systems that a member
    of the role has made end if they have more rights than the role now. Refusals: InvalidInput, NotFound,
    DuplicateName.
    """
    require_person(actor, Permission.MEMBERS_MANAGE)

    async def work() -> ChangedRole:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            now = world.clock()
            by = await lock_team(tx, actor, now)
            before = await _find_own(tx, by, change.id)
            row = _apply_change(before, change, actor, now)
            refuse_problems(_find_problems(by, row))
            _refuse_known_name(row, await read_roles(tx))
            held = build_held_role(row)
            having = await read_members_of_role(tx, row.id)
            scopes = (check_scope(held.permissions, one.locations, ("permissions",)) for one in having)
            refuse_problems([next(filter(None, scopes), None)])
            await change_role(tx, row)
            await note_changes(tx, actor, now, [describe_role(before, row)])
            people = {one.subject for one in having if one.subject}
            ended = await end_credentials_beyond(tx, actor, people, held.permissions, now)
        return ChangedRole(held, ended)

    return await retry_transaction(work)


async def remove_role(world: World, actor: Actor, role_id: UUID) -> HeldRole:
    """Delete a role that no member has and no claim stands for. Refusals: InvalidInput, NotFound, RoleInUse."""
    require_person(actor, Permission.MEMBERS_MANAGE)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        now = world.clock()
        by = await lock_team(tx, actor, now)
        row = await _find_own(tx, by, role_id)
        having = len(await read_members_of_role(tx, role_id))
        mapping = sum(role_id in dict(parse_mapped_roles(one)).values() for one in await read_issuers(tx))
        if having or mapping:
            raise RoleInUse(having, mapping)
        await delete_role(tx, role_id, now)
        await note_changes(tx, actor, now, [describe_role(row, None)])
    return build_held_role(row)


async def _find_own(tx: Transaction, by: Actor, role_id: UUID) -> RoleRow:
    """Return a role of the tenant that this person may change. Refusals: InvalidInput, NotFound."""
    if role_id in BUILT_IN_BY_ID:
        raise InvalidInput.one("id", reason="is built in and stays as it is; make a role of your own")
    row = (await read_roles_by_id(tx, [role_id])).get(role_id)
    if row is None:
        raise NotFound("role", ("id",))
    if any(held.id == role_id for held in by.roles):
        raise InvalidInput.one("id", reason="is your own role; somebody else has to change it")
    refuse_problems([check_role(by, build_held_role(row), ("id",))])
    return row


def _new_row(actor: Actor, request: RoleRequest, now: datetime) -> RoleRow:
    """Return the row of a new role."""
    name = tidy_text(request.name)
    return RoleRow(
        id=uuid7(),
        name=name,
        folded_name=name.casefold(),
        permissions=list(to_grants(request.permissions)),
        daily_points=request.daily_points,
        created_at=now,
        created_by=actor.subject,
        changed_at=now,
        changed_by=actor.subject,
    )


def _apply_change(before: RoleRow, change: RoleChange, actor: Actor, now: datetime) -> RoleRow:
    """Return the row of a role after a change."""
    changes: dict[str, Any] = {"changed_at": now, "changed_by": actor.subject}
    if isinstance(change.name, str):
        changes |= {"name": tidy_text(change.name), "folded_name": tidy_text(change.name).casefold()}
    if isinstance(change.permissions, frozenset):
        changes["permissions"] = list(to_grants(change.permissions))
    if isinstance(change.daily_points, int):
        changes["daily_points"] = change.daily_points
    return before._replace(**changes)


def _find_problems(by: Actor, row: RoleRow) -> list[Problem | None]:
    """Return the problems of a role that a person makes or changes.

    Nobody may make a role with rights that they lack.
    """
    held, path = build_held_role(row), ("permissions",)
    adjusts = Permission.POINTS_ADJUST in held.permissions and Permission.LOYALTY_ADJUST not in held.permissions
    return [
        check_text(row.name, ("name",), ROLE_NAME_MAX_LENGTH),
        check_grantable(held.permissions, frozenset({Permission.OWNERS_MANAGE}), "owners", path)
        or check_reading(held.permissions, path)
        or check_role(by, held, path if held.permissions - by.permissions else ("daily_points",)),
        check_daily_points(row.daily_points, adjusts=adjusts),
    ]


def _refuse_known_name(row: RoleRow, others: Sequence[RoleRow]) -> None:
    """Raise DuplicateName for a name that another role has, built-in or own, in any case of letters."""
    taken = {one.folded_name for one in others if one.id != row.id}
    if row.folded_name in taken | {role.name.casefold() for role in BUILT_IN_ROLES.values()}:
        raise DuplicateName(row.name)
