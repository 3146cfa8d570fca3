"""OAuth clients: what they may do, and when they, their secrets and their access tokens end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.errors import IdempotencyConflict, InvalidInput, LimitReached, NotFound
from loyalty.rules.ids import TokenId
from loyalty.services import oauth_client
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token, list_api_tokens
from loyalty.services.authentication import actor_of_client, actor_of_token, refresh_actor
from loyalty.services.oauth_client import (
    OAuthClientRequest,
    create_oauth_client,
    end_access_token,
    end_oauth_client,
    load_oauth_clients,
    page_oauth_clients,
)
from loyalty.services.secret_change import MAX_OVERLAP_MINUTES, SecretChange, change_client_secret, change_token_secret
from loyalty.services.world import World
from loyalty.storage.api_token_lists import TokenFilter
from loyalty.storage.oauth_clients import OAuthClientRow
from loyalty.storage.window import Window
from permissions.actor import Actor, SignedToken
from permissions.catalog import Permission
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOBODY, NOON, at
from tests.loyalty.services.test_api_token import RECORDING, new_hash

MINUTE = timedelta(minutes=1)
BOTH = RECORDING | {Permission.LOYALTY_READ}
MANAGES = RECORDING | {Permission.TOKENS_MANAGE}


async def make(world: World, actor: Actor, sha256: str | None = None, **changes: Any) -> OAuthClientRow:
    """Create a client that may read and record."""
    request = OAuthClientRequest(**{"name": "Partner", "permissions": BOTH, **changes})
    return (await create_oauth_client(world, actor, request, sha256 or new_hash())).client


async def access_token_of(world: World, sha256: str, now: datetime = NOON) -> Actor:
    """Return the actor of an access token that a client got for its secret."""
    client = await actor_of_client(at(world, now), sha256)
    assert client is not None
    signed = (SignedToken(f"id-{sha256[:8]}", client.subject, now),)
    return replace(client, permissions=RECORDING, signed=signed, expires_at=now + timedelta(hours=1))


async def test_a_client_is_listed_without_its_secret_and_apart_from_api_tokens(world: World, salon: Salon) -> None:
    made = await make(at(world, NOON), salon.owner, networks=["203.0.113.0/24"])
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", RECORDING), new_hash())
    assert await page_oauth_clients(world, salon.owner, TokenFilter(), Window(20)) == [made]
    assert [one.id for one in await list_api_tokens(world, salon.owner)] == [token.id]
    assert await load_oauth_clients(world, salon.owner, [made.id, token.id, NOBODY]) == {made.id: made}
    assert made.networks == ["203.0.113.0/24"]
    assert "secret" not in " ".join(made._fields).replace("former_ends_at", "")


async def test_a_client_and_an_api_token_are_no_stand_in_for_each_other(world: World, salon: Salon) -> None:
    """A client's secret is no bearer credential, and a bearer credential buys no access token."""
    of_client, of_token = new_hash(), new_hash()
    client = await make(world, salon.owner, of_client)
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", RECORDING), of_token)
    assert await actor_of_token(world, of_client) is None
    assert await actor_of_client(world, of_token) is None
    with pytest.raises(NotFound):
        await end_api_token(world, salon.owner, client.id)
    with pytest.raises(NotFound):
        await end_oauth_client(world, salon.owner, token.id)
    with pytest.raises(NotFound):
        await change_client_secret(world, salon.owner, SecretChange(token.id, 5), new_hash())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"permissions": frozenset()}, "permissions"),
        ({"permissions": frozenset({Permission.SELF_READ})}, "permissions"),
        ({"permissions": MANAGES}, "permissions"),
        ({"permissions": frozenset({Permission.LOYALTY_MANAGE})}, "permissions"),
        ({"expires_at": NOON}, "expires_at"),
        ({"networks": []}, "networks"),
        ({"networks": ["203.0.113.1/24"]}, "networks"),
    ],
    ids=[
        "no name",
        "no permission",
        "a permission of customers",
        "the management of tokens",
        "more than the maker holds",
        "an end in the past",
        "no network",
        "a network with a host",
    ],
)
async def test_an_invalid_client_is_refused_and_leaves_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges, changes: dict[str, Any], field: str
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await make(at(world, NOON), salon.owner, **changes)
    assert refused.value.path[0] == field


async def test_nobody_makes_a_client_that_may_do_more_than_they(world: World, salon: Salon) -> None:
    """In what it may do, from where, and for how long."""
    sha256 = new_hash()
    request = ApiTokenRequest("Maker", MANAGES, NOON + MINUTE, networks=["203.0.113.0/24"])
    await create_api_token(at(world, NOON), salon.owner, request, sha256)
    maker = await actor_of_token(at(world, NOON), sha256)
    assert maker is not None
    fits: dict[str, Any] = {"permissions": RECORDING, "expires_at": NOON + MINUTE}
    for wrong, field in (
        ({"permissions": BOTH}, "permissions"),
        ({"expires_at": NOON + 2 * MINUTE}, "expires_at"),
        ({"expires_at": None}, "expires_at"),
        ({"networks": ["203.0.112.0/23"]}, "networks"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await make(at(world, NOON), maker, **{**fits, **wrong})
        assert refused.value.path == (field,)
    assert (await make(at(world, NOON), maker, **fits)).networks == ["203.0.113.0/24"]


async def test_a_retry_finds_the_client_and_other_input_is_a_conflict(world: World, salon: Salon) -> None:
    request = OAuthClientRequest("Partner", BOTH, idempotency_key="key")
    first = await create_oauth_client(world, salon.owner, request, new_hash())
    again = await create_oauth_client(world, salon.owner, request, new_hash())
    assert (first.replayed, again.replayed, again.client) == (False, True, first.client)
    with pytest.raises(IdempotencyConflict):
        await create_oauth_client(world, salon.owner, request._replace(name="Other"), new_hash())


async def test_there_is_a_limit_of_living_clients(world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth_client, "MAX_CLIENTS", 1)
    first = await make(world, salon.owner)
    with pytest.raises(LimitReached):
        await make(world, salon.owner)
    await end_oauth_client(world, salon.owner, first.id)
    await make(world, salon.owner)


async def test_an_access_token_does_what_its_client_may_still_do(world: World, salon: Salon) -> None:
    sha256 = new_hash()
    client = await make(at(world, NOON), salon.owner, sha256, expires_at=NOON + 30 * MINUTE)
    token = await access_token_of(world, sha256)
    stands = await refresh_actor(at(world, NOON), token)
    assert stands is not None
    assert (stands.permissions, stands.expires_at) == (RECORDING, NOON + 30 * MINUTE)
    assert (stands.client, stands.signed) == (f"token:{client.id}", token.signed)
    assert await refresh_actor(at(world, NOON + 30 * MINUTE), token) is None


async def test_an_access_token_ends_with_its_client(world: World, salon: Salon) -> None:
    sha256 = new_hash()
    client = await make(world, salon.owner, sha256)
    token = await access_token_of(world, sha256)
    ended = await end_oauth_client(at(world, NOON), salon.owner, client.id)
    assert ended.revoked_at == NOON
    assert await refresh_actor(at(world, NOON), token) is None
    assert await actor_of_client(at(world, NOON), sha256) is None
    assert await end_oauth_client(at(world, NOON + MINUTE), salon.owner, client.id) == ended


async def test_a_client_ends_with_the_token_that_made_it(world: World, salon: Salon) -> None:
    of_maker, of_client = new_hash(), new_hash()
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Maker", MANAGES), of_maker)
    maker = await actor_of_token(world, of_maker)
    assert maker is not None
    client = await make(world, maker, of_client, permissions=RECORDING)
    access = await access_token_of(world, of_client)
    ended = await end_api_token(world, salon.owner, token.id)
    assert ([one.id for one in ended.made_clients], ended.made) == ([client.id], [])
    assert await refresh_actor(at(world, NOON), access) is None


async def test_one_access_token_is_revoked_and_the_others_stay(world: World, salon: Salon) -> None:
    sha256 = new_hash()
    await make(world, salon.owner, sha256)
    first = await access_token_of(world, sha256)
    second = replace(first, signed=(first.signed[0]._replace(id="second"),))
    assert first.token_id is not None
    await end_access_token(world, salon.tenant_id, first.token_id, first.signed[0].id)
    assert await refresh_actor(at(world, NOON), first) is None
    assert await refresh_actor(at(world, NOON), second) is not None


async def test_two_secrets_work_until_the_overlap_is_over(world: World, salon: Salon) -> None:
    """Access tokens end with the secret that they were got for."""
    old, new = new_hash(), new_hash()
    client = await make(world, salon.owner, old)
    before = await access_token_of(world, old)
    changed = await change_client_secret(at(world, NOON), salon.owner, SecretChange(client.id, 10), new)
    assert (changed.client.former_ends_at, changed.client.id) == (NOON + 10 * MINUTE, client.id)
    after = await access_token_of(world, new)
    last = NOON + 10 * MINUTE - timedelta(seconds=1)
    for moment, old_works in ((last, True), (NOON + 10 * MINUTE, False)):
        for sha256, token, works in ((old, before, old_works), (new, after, True)):
            assert (await actor_of_client(at(world, moment), sha256) is not None) == works
            assert (await refresh_actor(at(world, moment), token) is not None) == works


async def test_of_three_secrets_the_first_stops_at_once(world: World, salon: Salon) -> None:
    hashes = [new_hash() for _ in range(3)]
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", RECORDING), hashes[0])
    for sha256 in hashes[1:]:
        await change_token_secret(at(world, NOON), salon.owner, SecretChange(token.id, 60), sha256)
    assert [await actor_of_token(at(world, NOON), sha256) is not None for sha256 in hashes] == [False, True, True]


async def test_an_api_token_with_a_new_secret_is_the_same_token(world: World, salon: Salon) -> None:
    """Its keys, what it made and its children stay; the retry of a change shows no secret and changes nothing."""
    old, new = new_hash(), new_hash()
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", MANAGES), old)
    before = await actor_of_token(world, old)
    assert before is not None
    child = await create_api_token(world, before, ApiTokenRequest("Child", RECORDING), new_hash())
    change = SecretChange(token.id, 0, "key")
    assert not (await change_token_secret(world, salon.owner, change, new)).replayed
    assert (await change_token_secret(world, salon.owner, change, new_hash())).replayed
    assert await actor_of_token(world, old) is None
    after = await actor_of_token(world, new)
    assert after is not None
    assert (after.client, after.subject) == (before.client, before.subject)
    assert [one.id for one in (await end_api_token(world, salon.owner, None, old)).made] == [child.id]
    assert await actor_of_token(world, new) is None


async def test_nobody_learns_the_secret_of_what_may_do_more(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    of_maker = new_hash()
    maker = ApiTokenRequest("Maker", MANAGES, NOON + MINUTE, networks=["203.0.113.0/24"])
    await create_api_token(at(world, NOON), salon.owner, maker, of_maker)
    actor = await actor_of_token(at(world, NOON), of_maker)
    assert actor is not None
    fits: dict[str, Any] = {
        "name": "Other",
        "permissions": RECORDING,
        "expires_at": NOON + MINUTE,
        "networks": ["203.0.113.7"],
    }
    for wrong in ({"permissions": BOTH}, {"expires_at": None}, {"networks": None}, {"networks": ["198.51.100.0/24"]}):
        other = ApiTokenRequest(**{**fits, **wrong})
        token = await create_api_token(at(world, NOON), salon.owner, other, new_hash())
        async with nothing_changes(salon.tenant_id):
            with pytest.raises(InvalidInput):
                await change_token_secret(at(world, NOON), actor, SecretChange(token.id, 5), new_hash())
    token = await create_api_token(at(world, NOON), salon.owner, ApiTokenRequest(**fits), new_hash())
    await change_token_secret(at(world, NOON), actor, SecretChange(token.id, 5), new_hash())


async def test_a_token_ends_with_the_token_that_changed_its_secret_and_with_its_maker(
    world: World, salon: Salon
) -> None:
    """A thief keeps no secret, and a token that changes its own secret does not slip away from its maker."""
    of_thief, of_maker, of_child, taken, own = (new_hash() for _ in range(5))
    shop = await create_api_token(world, salon.owner, ApiTokenRequest("Shop", RECORDING), new_hash())
    stolen = await create_api_token(world, salon.owner, ApiTokenRequest("Stolen", MANAGES), of_thief)
    thief = await actor_of_token(world, of_thief)
    assert thief is not None
    await change_token_secret(world, thief, SecretChange(shop.id, 60), taken)
    assert [one.id for one in (await end_api_token(world, salon.owner, stolen.id)).made] == [shop.id]
    assert await actor_of_token(world, taken) is None
    maker_token = await create_api_token(world, salon.owner, ApiTokenRequest("Maker", MANAGES), of_maker)
    maker = await actor_of_token(world, of_maker)
    assert maker is not None
    child = await create_api_token(world, maker, ApiTokenRequest("Child", MANAGES), of_child)
    child_actor = await actor_of_token(world, of_child)
    assert child_actor is not None
    await change_token_secret(world, child_actor, SecretChange(child.id, 0), own)
    assert await actor_of_token(world, own) is not None
    await end_api_token(world, salon.owner, maker_token.id)
    assert await actor_of_token(world, own) is None


@pytest.mark.parametrize("minutes", [-1, MAX_OVERLAP_MINUTES + 1])
async def test_an_overlap_has_bounds(world: World, salon: Salon, minutes: int) -> None:
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", RECORDING), new_hash())
    with pytest.raises(InvalidInput) as refused:
        await change_token_secret(world, salon.owner, SecretChange(token.id, minutes), new_hash())
    assert refused.value.path == ("overlap_minutes",)


async def test_an_ended_token_gets_no_new_secret(world: World, salon: Salon) -> None:
    token = await create_api_token(world, salon.owner, ApiTokenRequest("Till", RECORDING), new_hash())
    await end_api_token(world, salon.owner, TokenId(token.id))
    with pytest.raises(InvalidInput):
        await change_token_secret(world, salon.owner, SecretChange(token.id, 5), new_hash())
