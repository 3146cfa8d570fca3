"""Roles that a tenant makes: of what one holds oneself, with a limit for adjustments, at once for all who have them."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.errors import DuplicateName, InvalidInput, LimitReached, LoyaltyError, NotFound, PermissionDenied
from loyalty.rules.member import MAX_ROLES
from loyalty.rules.team_errors import AdjustmentLimitReached, RoleInUse
from loyalty.services.adjustment import AdjustmentRequest, adjust_points
from loyalty.services.api_token import ApiTokenRequest, create_api_token
from loyalty.services.authentication import actor_of_token, find_fallen, refresh_actor
from loyalty.services.customer import CustomerKey
from loyalty.services.member import MemberRequest, add_member
from loyalty.services.oidc_issuer import OidcIssuerRequest, RoleValue, set_oidc_issuer
from loyalty.services.role import RoleChange, RoleRequest, create_role, list_roles, remove_role, update_role
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.roles import BUILT_IN_ROLES, STAFF_DAILY_POINTS, TeamRole
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import at, known_customer
from tests.loyalty.services.team import ADMIN, STAFF, Team, open_team
from tests.loyalty.services.test_api_token import new_hash

READING = frozenset({Permission.LOYALTY_READ})
ADJUSTING = READING | {Permission.POINTS_ADJUST}
HIRING = READING | {Permission.MEMBERS_READ, Permission.MEMBERS_MANAGE}


@pytest.fixture
async def team(world: World, salon: Salon) -> Team:
    """Provide a salon whose people sign in at a provider."""
    return await open_team(world, salon)


async def make(team: Team, permissions: frozenset[Permission], daily_points: int = 0, name: str = "Role") -> UUID:
    """Let the owner make a role."""
    request = RoleRequest(name, permissions, daily_points)
    return (await create_role(team.world, team.salon.owner, request)).role.id


def adjustment(points: int, key: str, customer: str = "anna") -> AdjustmentRequest:
    """Return a correction by hand."""
    who = CustomerKey(external_id=customer)
    return AdjustmentRequest(who, points, AdjustmentReason.OTHER, None, None, None, Overdraft.ALLOW_NEGATIVE, key)


# ── making and changing ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_role_of_the_tenant_counts_by_membership_and_by_a_claim(team: Team) -> None:
    role_id = await make(team, READING | {Permission.PURCHASES_RECORD})
    eva = await team.member("eva", role_id)
    assert eva.permissions == READING | {Permission.PURCHASES_RECORD}
    mapping = [RoleValue("till", role_id), RoleValue("boss", TeamRole.OWNER)]
    request = OidcIssuerRequest(team.issuer.issuer, team.issuer.audience, "groups", mapping)
    mapped = team._replace(issuer=await set_oidc_issuer(team.world, team.salon.owner, request))
    ben = await mapped.person("ben", groups=("till",))
    assert ben.permissions == eva.permissions
    await update_role(team.world, team.salon.owner, RoleChange(role_id, permissions=READING))
    for person in (eva, ben):
        now = await refresh_actor(team.world, replace(person, issuer=ben.issuer))
        assert now is not None
        assert now.permissions == READING
    people = [replace(eva, issuer=ben.issuer), ben]
    assert await find_fallen(team.world, team.salon.tenant_id, people) == set(people)


async def test_a_role_that_is_made_smaller_ends_tokens_that_may_do_more(team: Team) -> None:
    role_id = await make(team, READING | {Permission.TOKENS_MANAGE, Permission.PURCHASES_RECORD})
    eva, sha256 = await team.member("eva", role_id), new_hash()
    await create_api_token(team.world, eva, ApiTokenRequest("Shop", frozenset({Permission.PURCHASES_RECORD})), sha256)
    change = RoleChange(role_id, permissions=READING | {Permission.TOKENS_MANAGE})
    changed = await update_role(team.world, team.salon.owner, change)
    assert [one.name for one in changed.ended.api_tokens] == ["Shop"]
    assert await actor_of_token(team.world, sha256) is None


async def test_a_role_in_use_cannot_be_deleted(team: Team, nothing_changes: NothingChanges) -> None:
    role_id = await make(team, READING)
    await team.member("eva", role_id)
    await add_member(team.world, team.salon.owner, MemberRequest("x", role_id, "x@x.example"))
    mapping = [RoleValue("till", role_id)]
    await set_oidc_issuer(
        team.world, team.salon.owner, OidcIssuerRequest("https://other.example", "a", "groups", mapping)
    )
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises(RoleInUse) as refused:
            await remove_role(team.world, team.salon.owner, role_id)
    assert (refused.value.members, refused.value.providers) == (2, 1)


async def test_a_deleted_role_gives_its_name_back_and_cannot_be_given(team: Team) -> None:
    role_id = await make(team, READING)
    await remove_role(team.world, team.salon.owner, role_id)
    with pytest.raises(NotFound):
        await add_member(team.world, team.salon.owner, MemberRequest("x", role_id, "x@x.example"))
    await make(team, READING)


@pytest.mark.parametrize("name", ["Till", " till ", "TILL", "owner", "Staff"])
async def test_a_name_is_there_once(team: Team, nothing_changes: NothingChanges, name: str) -> None:
    await make(team, READING, name="Till")
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises(DuplicateName):
            await make(team, READING, name=name)


WRONG = {
    "nothing": (frozenset[Permission](), 0, ("permissions",)),
    "what customers have": (READING | {Permission.SELF_READ}, 0, ("permissions",)),
    "what owners have": (READING | {Permission.OWNERS_MANAGE}, 0, ("permissions",)),
    "changes without reading": (frozenset({Permission.LOYALTY_MANAGE}), 0, ("permissions",)),
    "no limit": (ADJUSTING, 0, ("daily_points",)),
    "less than nothing": (ADJUSTING, -1, ("daily_points",)),
    "a limit for nothing": (READING, 5, ("daily_points",)),
    "a limit beside no limit": (ADJUSTING | {Permission.LOYALTY_ADJUST}, 5, ("daily_points",)),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_role_that_makes_no_sense_is_refused(team: Team, nothing_changes: NothingChanges, name: str) -> None:
    permissions, daily_points, path = WRONG[name]
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await make(team, permissions, daily_points)
    assert path in [problem.path for problem in refused.value.problems]


async def test_there_are_so_many_roles(team: Team) -> None:
    for number in range(MAX_ROLES):
        await make(team, READING, name=f"Role {number}")
    with pytest.raises(LimitReached):
        await make(team, READING, name="One more")
    listed = await list_roles(team.world, team.salon.manager)
    assert [role.built_in for role in listed[: len(TeamRole)]] == list(TeamRole)
    assert [role.name for role in listed[len(TeamRole) :]] == [f"Role {number}" for number in range(MAX_ROLES)]


async def test_a_retry_makes_no_second_role(team: Team) -> None:
    request = RoleRequest("Till", READING, idempotency_key="key")
    first, again = [await create_role(team.world, team.salon.owner, request) for _ in range(2)]
    assert (first.role, first.replayed, again.replayed) == (again.role, False, True)


# ── nobody gives what they do not hold ────────────────────────────────────────────────────────────────────────────


async def test_nobody_makes_a_role_that_may_do_more_than_they(team: Team, nothing_changes: NothingChanges) -> None:
    hiring = await team.member("eva", await make(team, HIRING | ADJUSTING, 100, "Hiring"))
    async with nothing_changes(team.salon.tenant_id):
        for permissions, daily_points in (
            (HIRING | {Permission.TOKENS_MANAGE}, 0),
            (READING | {Permission.LOYALTY_ADJUST}, 0),
            (ADJUSTING, 101),
        ):
            with pytest.raises(InvalidInput):
                await create_role(team.world, hiring, RoleRequest("More", permissions, daily_points))
        with pytest.raises(InvalidInput):
            await add_member(team.world, hiring, MemberRequest("x", STAFF, "x@x.example"))
    await create_role(team.world, hiring, RoleRequest("As much", ADJUSTING, 100))


async def test_nobody_changes_a_role_that_they_have(team: Team, nothing_changes: NothingChanges) -> None:
    role_id = await make(team, HIRING)
    eva = await team.member("eva", role_id)
    async with nothing_changes(team.salon.tenant_id):
        for change in (RoleChange(role_id, "Mine"), RoleChange(role_id, permissions=HIRING | READING)):
            with pytest.raises(InvalidInput, match="your own role"):
                await update_role(team.world, eva, change)


async def test_nobody_changes_a_role_that_may_do_more_than_they(team: Team, nothing_changes: NothingChanges) -> None:
    role_id = await make(team, READING | {Permission.TOKENS_MANAGE}, name="Tokens")
    eva = await team.member("eva", await make(team, HIRING, name="Hiring"))
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises(InvalidInput):
            await update_role(team.world, eva, RoleChange(role_id, permissions=READING))
        with pytest.raises(InvalidInput):
            await remove_role(team.world, eva, role_id)


async def test_built_in_roles_stay(team: Team, other_salon: Salon, nothing_changes: NothingChanges) -> None:
    foreign = await make(await open_team(team.world, other_salon), READING)
    async with nothing_changes(team.salon.tenant_id):
        for role in BUILT_IN_ROLES.values():
            with pytest.raises(InvalidInput):
                await update_role(team.world, team.salon.owner, RoleChange(role.id, "Mine"))
        for nothing in (foreign, uuid4()):
            with pytest.raises(NotFound):
                await update_role(team.world, team.salon.owner, RoleChange(nothing, "Mine"))
            with pytest.raises(NotFound):
                await add_member(team.world, team.salon.owner, MemberRequest("x", nothing, "x@x.example"))


async def test_nobody_maps_a_claim_to_a_role_that_may_do_more_than_they(
    team: Team, nothing_changes: NothingChanges
) -> None:
    tokens = await team.member("eva", await make(team, READING | {Permission.TOKENS_MANAGE}, name="Tokens"))
    hiring = await make(team, HIRING, name="Hiring")
    async with nothing_changes(team.salon.tenant_id):
        for role in (TeamRole.OWNER, TeamRole.STAFF, hiring):
            request = OidcIssuerRequest("https://mine.example", "mine", "groups", [RoleValue("me", role)])
            with pytest.raises(InvalidInput, match="must not do more than you"):
                await set_oidc_issuer(team.world, tokens, request)
        request = OidcIssuerRequest("https://mine.example", "mine", "groups", [RoleValue("me", uuid4())])
        with pytest.raises(NotFound):
            await set_oidc_issuer(team.world, tokens, request)


# ── limits for adjustments ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_counter_adjusts_up_to_its_limit(team: Team, nothing_changes: NothingChanges) -> None:
    """Points that are added and points that are removed count alike; a retry counts once."""
    await known_customer(team.world, team.salon)
    eva = await team.member("eva", STAFF)
    await adjust_points(team.world, eva, adjustment(300, "1"))
    assert (await adjust_points(team.world, eva, adjustment(300, "1"))).replayed
    await adjust_points(team.world, eva, adjustment(-150, "2"))
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises(AdjustmentLimitReached) as refused:
            await adjust_points(team.world, eva, adjustment(51, "3"))
    assert (refused.value.daily_points, refused.value.points_left, refused.value.requested_points) == (500, 50, 51)
    await adjust_points(team.world, eva, adjustment(50, "3"))
    with pytest.raises(AdjustmentLimitReached) as none_left:
        await adjust_points(team.world, eva, adjustment(1, "4"))
    assert none_left.value.points_left == 0


async def test_the_limit_begins_anew_with_the_local_day(team: Team) -> None:
    """Berlin is one hour ahead in November."""
    await known_customer(team.world, team.salon)
    evening = datetime(2027, 11, 27, 22, 59, 59, tzinfo=UTC)
    eva = replace(await team.member("eva", STAFF), expires_at=None)
    await adjust_points(at(team.world, evening), eva, adjustment(STAFF_DAILY_POINTS, "1"))
    with pytest.raises(AdjustmentLimitReached) as refused:
        await adjust_points(at(team.world, evening), eva, adjustment(1, "2"))
    assert refused.value.resets_at == evening + timedelta(seconds=1)
    await adjust_points(at(team.world, refused.value.resets_at), eva, adjustment(STAFF_DAILY_POINTS, "2"))


async def test_each_person_has_a_limit_of_their_own(team: Team) -> None:
    await known_customer(team.world, team.salon)
    for name in ("eva", "ben"):
        await adjust_points(team.world, await team.member(name, STAFF), adjustment(STAFF_DAILY_POINTS, name))


async def test_adjustments_at_once_stay_within_the_limit(team: Team) -> None:
    """Of different customers, whose accounts have different locks, with what two sessions of one person present."""
    names = [f"customer-{number}" for number in range(12)]
    for name in names:
        await known_customer(team.world, team.salon, name)
    await team.add("eva", STAFF)
    sessions = [await team.person("eva") for _ in range(2)]
    results = await asyncio.gather(
        *(
            adjust_points(team.world, sessions[place % 2], adjustment(100 if place % 3 else -100, name, name))
            for place, name in enumerate(names)
        ),
        return_exceptions=True,
    )
    refused = [one for one in results if isinstance(one, LoyaltyError)]
    assert [type(one) for one in refused] == [AdjustmentLimitReached] * 7
    assert len(results) - len(refused) == STAFF_DAILY_POINTS // 100


async def test_a_role_with_the_full_permission_has_no_limit(team: Team) -> None:
    await known_customer(team.world, team.salon)
    admin = await team.member("ada", ADMIN)
    await adjust_points(team.world, admin, adjustment(1_000_000, "1"))


async def test_nobody_adjusts_without_a_role_that_may(team: Team) -> None:
    await known_customer(team.world, team.salon)
    eva: Actor = await team.member("eva", await make(team, READING))
    with pytest.raises(PermissionDenied):
        await adjust_points(team.world, eva, adjustment(1, "1"))
    with pytest.raises(InvalidInput, match="for people of the team"):
        await create_api_token(team.world, team.salon.owner, ApiTokenRequest("x", ADJUSTING), new_hash())
