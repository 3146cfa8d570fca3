"""Members of the team: how they are let in, what they may give, and how it ends."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from loyalty.rules.errors import IdempotencyConflict, InvalidInput, LoyaltyError, NotFound, PermissionDenied
from loyalty.rules.team_errors import AlreadyMember, LastOwner
from loyalty.services.api_token import ApiTokenRequest, create_api_token
from loyalty.services.authentication import actor_of_token, find_fallen, refresh_actor, refresh_actors
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_token import CustomerTokenRequest, grant_customer_token
from loyalty.services.member import (
    Identity,
    MemberChange,
    MemberRequest,
    add_member,
    count_listed_members,
    end_membership,
    page_members,
    update_member,
)
from loyalty.services.oauth_client import OAuthClientRequest, create_oauth_client
from loyalty.services.oidc_issuer import remove_oidc_issuer
from loyalty.services.role import RoleRequest, create_role
from loyalty.services.secret_change import SecretChange, change_token_secret
from loyalty.services.world import World
from loyalty.storage.members import MemberFilter
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.roles import BUILT_IN_BY_ID
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import customer_actor, known_customer
from tests.loyalty.services.team import ADMIN, MANAGER, OWNER, READER, STAFF, Team, open_team
from tests.loyalty.services.test_api_token import new_hash

RECORDING = frozenset({Permission.PURCHASES_RECORD})
MANAGING = frozenset({Permission.LOYALTY_READ, Permission.LOYALTY_MANAGE})


@pytest.fixture
async def team(world: World, salon: Salon) -> Team:
    """Provide a salon whose people sign in at a provider."""
    return await open_team(world, salon)


# ── who is let in ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_member_is_let_in_with_their_role(team: Team) -> None:
    assert await team.find("eva") is None
    member = await team.add("eva", MANAGER)
    eva = await team.person("eva")
    assert (eva.member_id, [role.name for role in eva.roles]) == (member.id, ["MANAGER"])
    assert eva.permissions == BUILT_IN_BY_ID[MANAGER].permissions
    (together,) = await refresh_actors(team.world, team.salon.tenant_id, [team.token("eva")])
    assert isinstance(together, Actor)
    assert together.permissions == eva.permissions


async def test_the_role_of_a_member_counts_in_place_of_a_claim(team: Team) -> None:
    assert (await team.person("eva", groups=("boss",))).permissions == BUILT_IN_BY_ID[OWNER].permissions
    await team.add("eva", READER)
    assert (await team.person("eva", groups=("boss",))).permissions == BUILT_IN_BY_ID[READER].permissions


async def test_who_has_no_claim_and_is_no_member_is_not_let_in(team: Team) -> None:
    assert await team.find("eva", groups=("cleaner",)) is None
    assert await team.find("eva", email="eva@salon.example") is None


async def test_an_invited_person_is_known_by_their_subject_from_then_on(team: Team) -> None:
    invited = MemberRequest("Eva", STAFF, "Eva@Salon.example")
    member = (await add_member(team.world, team.salon.owner, invited)).member
    assert (member.email, member.subject, member.joined_at) == ("eva@salon.example", None, None)
    assert await team.find("eva", email="somebody@else.example") is None
    eva = await team.person("eva", email="eva@salon.example")
    assert eva.member_id == member.id
    assert (await team.person("eva")).member_id == member.id
    assert await team.find("mallory", email="eva@salon.example") is None


async def test_of_two_people_with_the_invited_address_one_is_the_member(team: Team) -> None:
    await add_member(team.world, team.salon.owner, MemberRequest("Eva", STAFF, "eva@salon.example"))
    found = await asyncio.gather(*(team.find(name, email="eva@salon.example") for name in ("one", "two", "three")))
    assert sum(one is not None for one in found) == 1


async def test_an_invitation_takes_nothing_away(team: Team) -> None:
    """Else an admin could invite the owner, who signs in by a claim, as a reader."""
    admin = await team.member("ada", ADMIN)
    await add_member(team.world, admin, MemberRequest("Boss", READER, "boss@salon.example"))
    boss = await team.person("boss", email="boss@salon.example", groups=("boss",))
    assert (boss.member_id, boss.permissions) == (None, BUILT_IN_BY_ID[OWNER].permissions)
    with pytest.raises(PermissionDenied):
        await add_member(team.world, admin, MemberRequest("Boss", READER, Identity(team.issuer.id, "boss")))


async def test_a_person_of_two_tenants_is_a_member_of_each(team: Team, other_salon: Salon) -> None:
    other = await open_team(team.world, other_salon)
    await team.add("eva", MANAGER)
    member = await other.add("eva", READER)
    assert (await team.person("eva")).permissions == BUILT_IN_BY_ID[MANAGER].permissions
    assert (await other.person("eva")).permissions == BUILT_IN_BY_ID[READER].permissions
    await end_membership(team.world, other_salon.owner, member.id)
    assert await other.find("eva") is None
    assert await team.find("eva") is not None
    with pytest.raises(NotFound):
        await end_membership(team.world, team.salon.owner, member.id)


async def test_the_provider_that_is_removed_lets_no_member_in(team: Team) -> None:
    await team.add("eva", MANAGER)
    await remove_oidc_issuer(team.world, team.salon.owner, team.issuer.id)
    assert await team.find("eva") is None


async def test_many_people_are_judged_together_as_each_alone(team: Team) -> None:
    """One was removed, one is a member, one has a claim, one is nobody, and one has a role of the tenant."""
    request = RoleRequest("Till", frozenset({Permission.LOYALTY_READ}))
    role = (await create_role(team.world, team.salon.owner, request)).role
    gone = await team.member("gone", MANAGER)
    assert gone.member_id
    await end_membership(team.world, team.salon.owner, gone.member_id)
    await team.add("eva", STAFF)
    await team.add("till", role.id)
    groups = {"gone": ("boss",), "boss": ("boss",)}
    tokens = [team.token(name, groups=groups.get(name, ())) for name in ("eva", "gone", "boss", "nobody", "till")]
    alone = [await refresh_actor(team.world, token) for token in tokens]
    assert [one and one.roles[0].name for one in alone] == ["STAFF", None, "OWNER", None, "Till"]
    assert await refresh_actors(team.world, team.salon.tenant_id, tokens) == alone
    assert await refresh_actors(team.world, team.salon.tenant_id, tokens[::-1]) == alone[::-1]


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_removed_member_is_refused_whatever_a_claim_says(team: Team) -> None:
    eva = await team.member("eva", MANAGER)
    await end_membership(team.world, team.salon.owner, eva.member_id)  # type: ignore[arg-type]
    assert await refresh_actor(team.world, eva) is None
    assert await team.find("eva", groups=("boss",)) is None
    assert await find_fallen(team.world, team.salon.tenant_id, [eva, team.salon.owner]) == {eva}
    again = await end_membership(team.world, team.salon.owner, eva.member_id)  # type: ignore[arg-type]
    assert again.member.removed_at is not None


async def test_who_was_removed_comes_back_by_a_new_membership_only(team: Team) -> None:
    eva = await team.member("eva", MANAGER)
    await end_membership(team.world, team.salon.owner, eva.member_id)  # type: ignore[arg-type]
    await add_member(team.world, team.salon.owner, MemberRequest("Eva", READER, "eva@salon.example"))
    back = await team.person("eva", email="eva@salon.example", groups=("boss",))
    assert back.permissions == BUILT_IN_BY_ID[READER].permissions
    assert back.member_id != eva.member_id


async def test_another_role_counts_at_once_and_closes_sockets(team: Team) -> None:
    eva = await team.member("eva", MANAGER)
    await update_member(team.world, team.salon.owner, MemberChange(eva.member_id, role_id=READER))  # type: ignore[arg-type]
    now = await refresh_actor(team.world, eva)
    assert now is not None
    assert now.permissions == BUILT_IN_BY_ID[READER].permissions
    assert await find_fallen(team.world, team.salon.tenant_id, [eva, now]) == {eva}


async def test_credentials_that_a_member_made_end_with_the_membership(team: Team) -> None:
    """A token made by a member outlives the removal: it does not, nor does what it made, nor a secret they got."""
    world, owner = team.world, team.salon.owner
    ada = await team.member("ada", ADMIN)
    hashes = [new_hash() for _ in range(4)]
    granting = RECORDING | {Permission.TOKENS_MANAGE}
    await create_api_token(world, ada, ApiTokenRequest("Hers", granting), hashes[0])
    hers = await actor_of_token(world, hashes[0])
    assert hers is not None
    await create_api_token(world, hers, ApiTokenRequest("Made by it", RECORDING), hashes[1])
    theirs = await create_api_token(world, owner, ApiTokenRequest("Theirs", RECORDING), hashes[2])
    await change_token_secret(world, ada, SecretChange(theirs.id, 0), hashes[3])
    client = await create_oauth_client(world, ada, OAuthClientRequest("Shop", RECORDING), new_hash())
    kept = new_hash()
    await create_api_token(world, owner, ApiTokenRequest("The owner's", RECORDING), kept)
    removed = await end_membership(world, owner, ada.member_id)  # type: ignore[arg-type]
    assert {one.name for one in removed.ended.api_tokens} == {"Hers", "Made by it", "Theirs"}
    assert [one.id for one in removed.ended.oauth_clients] == [client.client.id]
    assert [await actor_of_token(world, one) for one in (hashes[0], hashes[1], hashes[3])] == [None] * 3
    assert await actor_of_token(world, kept) is not None


async def test_credentials_may_be_kept_for_the_tenant(team: Team) -> None:
    ada = await team.member("ada", ADMIN)
    sha256 = new_hash()
    await create_api_token(team.world, ada, ApiTokenRequest("Shop", RECORDING), sha256)
    removed = await end_membership(team.world, team.salon.owner, ada.member_id, keep_credentials=True)  # type: ignore[arg-type]
    assert removed.ended.api_tokens == []
    assert await actor_of_token(team.world, sha256) is not None


async def test_a_lower_role_ends_the_tokens_that_may_do_more(team: Team) -> None:
    ada = await team.member("ada", ADMIN)
    more, less = new_hash(), new_hash()
    await create_api_token(team.world, ada, ApiTokenRequest("Manages", MANAGING), more)
    await create_api_token(team.world, ada, ApiTokenRequest("Records", RECORDING), less)
    changed = await update_member(team.world, team.salon.owner, MemberChange(ada.member_id, role_id=STAFF))  # type: ignore[arg-type]
    assert [one.name for one in changed.ended.api_tokens] == ["Manages"]
    assert await actor_of_token(team.world, more) is None
    assert await actor_of_token(team.world, less) is not None


async def test_customer_tokens_end_with_the_membership_of_who_made_them(team: Team) -> None:
    await known_customer(team.world, team.salon)
    ada = await team.member("ada", ADMIN)
    request = CustomerTokenRequest(CustomerKey(external_id="anna"), 60)
    grant = await grant_customer_token(team.world, ada, request)
    token = customer_actor(team.salon.tenant_id, grant.customer_id)
    token = replace(token, signed=(*token.signed, *ada.signed))
    assert await refresh_actor(team.world, token) is not None
    await end_membership(team.world, team.salon.owner, ada.member_id)  # type: ignore[arg-type]
    assert await refresh_actor(team.world, token) is None


# ── nobody gives what they do not hold ────────────────────────────────────────────────────────────────────────────

Attempt = Callable[[Team, Any, Any], Coroutine[Any, Any, object]]

ATTEMPTS: dict[str, tuple[object, Attempt]] = {
    "a manager makes themself an admin": (
        MANAGER,
        lambda t, me, _: update_member(t.world, me, MemberChange(me.member_id, role_id=ADMIN)),
    ),
    "a manager invites an admin": (
        MANAGER,
        lambda t, me, _: add_member(t.world, me, MemberRequest("x", ADMIN, "x@x.example")),
    ),
    "an admin makes themself an owner": (
        ADMIN,
        lambda t, me, _: update_member(t.world, me, MemberChange(me.member_id, role_id=OWNER)),
    ),
    "an admin invites an owner": (
        ADMIN,
        lambda t, me, _: add_member(t.world, me, MemberRequest("x", OWNER, "x@x.example")),
    ),
    "an admin removes an owner": (ADMIN, lambda t, me, owner: end_membership(t.world, me, owner.id)),
    "an admin renames an owner": (ADMIN, lambda t, me, owner: update_member(t.world, me, MemberChange(owner.id, "x"))),
    "an admin demotes an owner": (
        ADMIN,
        lambda t, me, owner: update_member(t.world, me, MemberChange(owner.id, role_id=READER)),
    ),
    "an admin adds an identity": (
        ADMIN,
        lambda t, me, _: add_member(t.world, me, MemberRequest("x", READER, Identity(t.issuer.id, "x"))),
    ),
    "an owner gives a role that is not there": (
        OWNER,
        lambda t, me, _: add_member(t.world, me, MemberRequest("x", uuid4(), "x@x.example")),
    ),
    "an owner adds somebody at another's provider": (
        OWNER,
        lambda t, me, _: add_member(t.world, me, MemberRequest("x", READER, Identity(uuid4(), "x"))),
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_nobody_gives_or_takes_more_than_they_hold(
    team: Team, nothing_changes: NothingChanges, name: str
) -> None:
    role, attempt = ATTEMPTS[name]
    owner, me = await team.add("olga", OWNER), await team.member("me", role)
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises((PermissionDenied, InvalidInput, NotFound)):
            await attempt(team, me, owner)


async def test_a_partner_system_manages_no_members(team: Team) -> None:
    """What a token gave would outlive it."""
    with pytest.raises(InvalidInput, match="for people of the team"):
        await create_api_token(
            team.world, team.salon.owner, ApiTokenRequest("x", frozenset({Permission.MEMBERS_MANAGE})), new_hash()
        )


async def test_a_member_who_became_a_reader_cannot_finish_an_admin_s_work(team: Team) -> None:
    """The role is asked for again under the lock: the request came while it was another one."""
    ada = await team.member("ada", ADMIN)
    await update_member(team.world, team.salon.owner, MemberChange(ada.member_id, role_id=READER))  # type: ignore[arg-type]
    with pytest.raises(PermissionDenied):
        await add_member(team.world, ada, MemberRequest("x", READER, "x@x.example"))
    with pytest.raises(PermissionDenied):
        await create_api_token(team.world, ada, ApiTokenRequest("x", RECORDING), new_hash())


# ── the last owner ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_last_owner_stays(team: Team, nothing_changes: NothingChanges) -> None:
    """An invited owner who never signed in is none yet."""
    olga = await team.member("olga", OWNER)
    invited = await add_member(team.world, team.salon.owner, MemberRequest("x", OWNER, "x@x.example"))
    async with nothing_changes(team.salon.tenant_id):
        for attempt in (
            end_membership(team.world, olga, olga.member_id),  # type: ignore[arg-type]
            update_member(team.world, olga, MemberChange(olga.member_id, role_id=ADMIN)),  # type: ignore[arg-type]
        ):
            with pytest.raises(LastOwner):
                await attempt
    await end_membership(team.world, olga, invited.member.id)
    await team.member("otto", OWNER)
    await end_membership(team.world, olga, olga.member_id)  # type: ignore[arg-type]
    assert await team.find("olga") is None


async def test_two_removals_at_once_leave_one_of_the_last_two_owners(team: Team) -> None:
    olga, otto = await team.member("olga", OWNER), await team.member("otto", OWNER)
    results = await asyncio.gather(
        end_membership(team.world, team.salon.owner, olga.member_id),  # type: ignore[arg-type]
        end_membership(team.world, team.salon.owner, otto.member_id),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert [type(one) for one in results if isinstance(one, LoyaltyError)] == [LastOwner]
    assert [await team.find(name) is None for name in ("olga", "otto")].count(False) == 1


async def test_two_owners_who_remove_each_other_leave_one(team: Team) -> None:
    olga, otto = await team.member("olga", OWNER), await team.member("otto", OWNER)
    results = await asyncio.gather(
        end_membership(team.world, olga, otto.member_id),  # type: ignore[arg-type]
        end_membership(team.world, otto, olga.member_id),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert [type(one) for one in results if isinstance(one, LoyaltyError)] == [PermissionDenied]
    assert [await team.find(name) is None for name in ("olga", "otto")].count(False) == 1


# ── adding, listing, the audit log ────────────────────────────────────────────────────────────────────────────────


async def test_a_retry_adds_nobody_twice(team: Team) -> None:
    request = MemberRequest("Eva", STAFF, "eva@salon.example", idempotency_key="key")
    first, again = [await add_member(team.world, team.salon.owner, request) for _ in range(2)]
    assert (first.replayed, again.replayed) == (False, True)
    assert first.member == again.member
    with pytest.raises(IdempotencyConflict):
        await add_member(team.world, team.salon.owner, request._replace(role_id=READER))
    with pytest.raises(AlreadyMember):
        await add_member(
            team.world, team.salon.owner, request._replace(idempotency_key=None, person="EVA@salon.example")
        )


@pytest.mark.parametrize(
    "email", ["", " ", "eva", "eva@", "@salon", "e va@salon", "éva@salon.example", "a" * 255 + "@x"]
)
async def test_an_address_that_is_none_is_refused(team: Team, nothing_changes: NothingChanges, email: str) -> None:
    async with nothing_changes(team.salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await add_member(team.world, team.salon.owner, MemberRequest("Eva", STAFF, email))
    assert refused.value.path == ("person", "email")


async def test_members_are_listed_with_those_who_were_removed(team: Team) -> None:
    olga, eva = await team.add("olga", OWNER), await team.add("eva", STAFF)
    await end_membership(team.world, team.salon.owner, eva.id)
    world, owner, window = team.world, team.salon.owner, Window[Any](20)
    assert {one.id for one in await page_members(world, owner, MemberFilter(), window)} == {olga.id, eva.id}
    assert [one.id for one in await page_members(world, owner, MemberFilter(present=True), window)] == [olga.id]
    assert [one.id for one in await page_members(world, owner, MemberFilter(present=False), window)] == [eva.id]
    assert [one.id for one in await page_members(world, owner, MemberFilter(role_id=OWNER), window)] == [olga.id]
    assert await count_listed_members(world, owner, MemberFilter(present=True)) == 1
