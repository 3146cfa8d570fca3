"""API tokens: made once, kept as a hash, never stronger than who made them, ended at once."""

import asyncio
import hashlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.errors import InvalidInput, LimitReached, NotFound, PermissionDenied
from loyalty.services import api_token
from loyalty.services.adjustment import adjust_points
from loyalty.services.api_token import (
    ApiTokenRequest,
    EndedToken,
    create_api_token,
    end_api_token,
    list_api_tokens,
    load_api_tokens,
)
from loyalty.services.authentication import actor_of_token
from loyalty.services.world import World
from loyalty.storage.api_tokens import ApiTokenRow
from permissions.actor import Actor
from permissions.catalog import Permission
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, NOON, adjustment, at, known_customer

RECORDING = frozenset({Permission.PURCHASES_RECORD})


def new_hash() -> str:
    """Return the hash of a secret that nobody knows."""
    return hashlib.sha256(secrets.token_bytes(32)).hexdigest()


async def make(world: World, actor: Actor, sha256: str | None = None, **changes: Any) -> ApiTokenRow:
    """Create a token for recording purchases."""
    wanted = {"name": "Booking system", "permissions": RECORDING, "expires_at": None, **changes}
    return await create_api_token(world, actor, ApiTokenRequest(**wanted), sha256 or new_hash())


async def test_a_token_is_kept_without_its_secret(world: World, salon: Salon) -> None:
    sha256 = new_hash()
    both = RECORDING | {Permission.LOYALTY_READ}
    made = await make(at(world, NOON), salon.owner, sha256, permissions=both, expires_at=NOON + timedelta(days=1))
    assert await list_api_tokens(world, salon.owner) == [made]
    assert await load_api_tokens(world, salon.owner, [made.id, NOBODY]) == {made.id: made}
    assert (made.name, made.permissions, made.created_at, made.created_by) == (
        "Booking system",
        ["loyalty:read", "purchases:record"],
        NOON,
        "staff:owner",
    )
    assert (made.expires_at, made.revoked_at, made.last_used_at) == (NOON + timedelta(days=1), None, None)
    assert all(
        sha256 not in line for lines in (await snapshot(world.database, salon.tenant_id)).values() for line in lines
    )


async def test_the_newest_token_is_listed_first(world: World, salon: Salon) -> None:
    made = [await make(world, salon.owner, name=f"Token {number}") for number in range(3)]
    assert await list_api_tokens(world, salon.owner) == made[::-1]


async def test_an_ended_token_stops_working_and_stays_in_the_list(world: World, salon: Salon) -> None:
    sha256 = new_hash()
    made = await make(world, salon.owner, sha256)
    assert await actor_of_token(world, sha256) is not None
    ended = await end_api_token(at(world, NOON), salon.owner, made.id)
    assert ended.token.revoked_at == NOON
    assert await actor_of_token(world, sha256) is None
    assert [token.id for token in await list_api_tokens(world, salon.owner)] == [made.id]


async def test_ending_a_token_twice_keeps_the_first_moment(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    made = await make(world, salon.owner)
    first = await end_api_token(at(world, NOON), salon.owner, made.id)
    async with nothing_changes(salon.tenant_id):
        assert await end_api_token(at(world, NOON + timedelta(days=1)), salon.owner, made.id) == first


async def test_a_token_hands_out_no_more_than_it_holds(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """BK-113: an actor cannot make itself stronger by way of a token."""
    sha256 = new_hash()
    narrow = RECORDING | {Permission.TOKENS_MANAGE}
    await make(world, salon.owner, sha256, permissions=narrow)
    token = await actor_of_token(world, sha256)
    assert token is not None
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="you lack LOYALTY_ADJUST"):
            await make(world, token, permissions=RECORDING | {Permission.LOYALTY_ADJUST})
    assert (await make(world, token)).created_by == token.subject


async def chain_of_tokens(world: World, salon: Salon) -> tuple[list[ApiTokenRow], list[str]]:
    """Create a token, a second one made by the first, and a third one made by the second.

    Return them with their hashes.
    """
    hashes, made, maker = [new_hash() for _ in range(3)], [], salon.owner
    for number, sha256 in enumerate(hashes):
        permissions = RECORDING | {Permission.TOKENS_MANAGE}
        made.append(await make(world, maker, sha256, name=f"Token {number}", permissions=permissions))
        actor = await actor_of_token(world, sha256)
        assert actor is not None
        maker = actor
    return made, hashes


async def test_credentials_that_a_token_made_end_with_it(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """A leaked token that made another one first lived on in it."""
    bystander = new_hash()
    await make(world, salon.owner, bystander, name="Bystander")
    made, hashes = await chain_of_tokens(world, salon)
    ended = await end_api_token(at(world, NOON), salon.owner, made[0].id)
    assert (ended.token.name, [token.name for token in ended.made]) == ("Token 0", ["Token 1", "Token 2"])
    assert {token.revoked_at for token in (ended.token, *ended.made)} == {NOON}
    assert [await actor_of_token(world, sha256) for sha256 in hashes] == [None, None, None]
    assert await actor_of_token(world, bystander) is not None
    async with nothing_changes(salon.tenant_id):
        assert (await end_api_token(world, salon.owner, made[0].id)).made == []


async def test_a_token_ends_without_its_maker(world: World, salon: Salon) -> None:
    made, hashes = await chain_of_tokens(world, salon)
    await end_api_token(world, salon.owner, made[1].id)
    assert [await actor_of_token(world, sha256) is not None for sha256 in hashes] == [True, False, False]


async def test_making_and_ending_at_the_same_moment_leaves_nothing_alive(world: World, salon: Salon) -> None:
    """Whichever comes first: what is made by a token that ends is refused, or ends as well."""
    for _ in range(5):
        sha256, made = new_hash(), [new_hash() for _ in range(4)]
        maker = await make(world, salon.owner, sha256, permissions=RECORDING | {Permission.TOKENS_MANAGE})
        actor = await actor_of_token(world, sha256)
        assert actor is not None
        results = await asyncio.gather(
            *(make(world, actor, one) for one in made),
            end_api_token(world, salon.owner, maker.id),
            return_exceptions=True,
        )
        assert all(isinstance(one, PermissionDenied | ApiTokenRow | EndedToken) for one in results), results
        assert [await actor_of_token(world, one) for one in made] == [None] * len(made)


@pytest.mark.parametrize(("expires_at", "fits"), [(None, False), (25, False), (24, True), (1, True)])
async def test_a_token_does_not_outlive_the_token_that_makes_it(
    world: World, salon: Salon, nothing_changes: NothingChanges, expires_at: int | None, *, fits: bool
) -> None:
    sha256, noon = new_hash(), at(world, NOON)
    permissions = RECORDING | {Permission.TOKENS_MANAGE}
    await make(noon, salon.owner, sha256, permissions=permissions, expires_at=NOON + timedelta(days=1))
    actor = await actor_of_token(noon, sha256)
    assert actor is not None
    end = None if expires_at is None else NOON + timedelta(hours=expires_at)
    if fits:
        assert (await make(noon, actor, expires_at=end)).expires_at == end
        return
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="must be at most 2026-03-05T12:00:00") as refused:
            await make(noon, actor, expires_at=end)
    assert refused.value.path == ("expires_at",)


async def test_a_token_that_replaces_another_shares_its_idempotency_keys(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """A retry after the change of the token counts once, however often the token was replaced."""
    await known_customer(world, salon)
    permissions = frozenset({Permission.LOYALTY_READ, Permission.LOYALTY_ADJUST})
    hashes, replaced, rows = [new_hash() for _ in range(3)], None, []
    for sha256 in hashes:
        rows.append(await make(world, salon.owner, sha256, permissions=permissions, replaces=replaced))
        replaced = rows[-1].id
    actors = [actor for sha256 in hashes if (actor := await actor_of_token(world, sha256))]
    booked = await adjust_points(world, actors[0], adjustment(5))
    await end_api_token(world, salon.owner, rows[0].id)
    async with nothing_changes(salon.tenant_id):
        for actor in actors[1:]:
            again = await adjust_points(world, actor, adjustment(5))
            assert (again.replayed, again.adjustment.id) == (True, booked.adjustment.id)
    with pytest.raises(NotFound) as refused:
        await make(world, salon.owner, replaces=NOBODY)
    assert refused.value.path == ("replaces",)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param({"name": ""}, ("name",), id="no name"),
        pytest.param({"name": "x" * 121}, ("name",), id="name too long"),
        pytest.param({"name": "a\0"}, ("name",), id="NUL"),
        pytest.param({"permissions": frozenset()}, ("permissions",), id="for nothing"),
        pytest.param({"permissions": frozenset({Permission.SELF_READ})}, ("permissions",), id="for a customer"),
        pytest.param({"permissions": frozenset({Permission.SELF_REDEEM})}, ("permissions",), id="to spend as one"),
        pytest.param({"expires_at": NOON}, ("expires_at",), id="already over"),
    ],
)
async def test_an_invalid_token_is_refused_and_leaves_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges, changes: dict[str, Any], path: tuple[str, ...]
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await make(at(world, NOON), salon.owner, **changes)
    assert refused.value.path == path


async def test_a_token_that_is_not_there_cannot_be_ended(world: World, salon: Salon) -> None:
    with pytest.raises(NotFound):
        await end_api_token(world, salon.owner, NOBODY)


async def test_there_is_a_limit_of_living_tokens(
    world: World, salon: Salon, nothing_changes: NothingChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended and expired ones do not count: nobody has to tidy up after them."""
    monkeypatch.setattr(api_token, "MAX_TOKENS", 2)
    first = await make(at(world, NOON), salon.owner)
    await make(at(world, NOON), salon.owner, expires_at=NOON + timedelta(hours=1))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(LimitReached):
            await make(at(world, NOON), salon.owner)
    await make(at(world, NOON + timedelta(hours=1)), salon.owner)
    await end_api_token(world, salon.owner, first.id)
    await make(at(world, NOON + timedelta(hours=1)), salon.owner)


async def test_only_who_manages_tokens_sees_any(world: World, salon: Salon) -> None:
    made = await make(world, salon.owner)
    for actor in (salon.manager, salon.staff, salon.integration):
        with pytest.raises(PermissionDenied):
            await load_api_tokens(world, actor, [made.id])


async def test_tokens_can_be_ended_while_the_program_is_off(world: World, salon: Salon) -> None:
    """BK-01: credentials are not part of the module."""
    made = await make(world, salon.owner)
    off = replace(salon.owner, loyalty_enabled=False)
    ended = await end_api_token(world, off, made.id)
    assert isinstance(ended.token.revoked_at, datetime)
