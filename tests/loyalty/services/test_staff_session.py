"""Sessions of staff: they count once, end in time and at once, and nobody has too many."""

import asyncio
import contextlib
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from loyalty.rules.absent import ABSENT
from loyalty.rules.staff_session import LOGOUT_REMEMBERED, MAX_SESSIONS_OF_PERSON, SESSION_LIFETIME, Logout, SignIn
from loyalty.services.authentication import find_fallen, refresh_actor
from loyalty.services.client_secret import open_client_secret, reseal_client_secrets
from loyalty.services.oidc_issuer import (
    OidcIssuerRequest,
    RoleValue,
    find_provider,
    remove_oidc_issuer,
    set_oidc_issuer,
)
from loyalty.services.revocation import revoke_subject
from loyalty.services.staff_session import (
    SignedOutMeanwhile,
    end_session,
    end_sessions_by_provider,
    find_session,
    start_session,
)
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeKeyMissing, CodeKeys, CodeUnreadable
from loyalty.storage.provider_logouts import lock_provider, remember_logout, share_provider
from loyalty.storage.staff_sessions import StaffSessionRow, insert_session
from permissions.actor import Actor, subject_at_provider
from permissions.roles import TeamRole
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.live import is_waiting_for_a_lock, until
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import at
from tests.loyalty.services.team import Team, open_team, sign_in_of


def hashed(name: str) -> str:
    """Return a hash as that of a secret."""
    return hashlib.sha256(name.encode()).hexdigest()


async def begin(team: Team, state: str, sign_in: SignIn | None = None, name: str = "eva") -> Actor:
    """Begin a session of an owner, and return its actor as a request finds it."""
    person = await team.person(name, groups=("boss",))
    begun = sign_in or sign_in_of(state, team.world.clock())
    assert await start_session(team.world, person, begun, hashed(state)) is not None
    found = await find_session(team.world, team.salon.tenant_id, hashed(state))
    assert found is not None
    return found


async def test_a_session_is_the_person_until_it_ends(world: World, salon: Salon) -> None:
    team = await open_team(world, salon)
    found = await begin(team, "first")
    stands = await refresh_actor(world, found)
    assert stands is not None
    assert (stands.subject, [role.name for role in stands.roles]) == (
        subject_at_provider(team.issuer.id, "eva"),
        ["OWNER"],
    )
    assert stands.session is not None
    assert stands.expires_at == stands.session.started_at + SESSION_LIFETIME
    just_before, over = (stands.expires_at + timedelta(seconds=seconds) for seconds in (-1, 0))
    assert await refresh_actor(at(world, just_before), found) is not None
    assert await refresh_actor(at(world, over), found) is None
    assert await find_fallen(world, salon.tenant_id, [stands]) == set()
    await end_session(world, salon.tenant_id, stands.session.id)
    assert await find_session(world, salon.tenant_id, hashed("first")) is None
    assert await refresh_actor(world, found) is None
    assert await find_fallen(world, salon.tenant_id, [stands]) == {stands}


async def test_a_sign_in_begins_one_session(world: World, salon: Salon) -> None:
    team = await open_team(world, salon)
    found = await begin(team, "first")
    person = await team.person("eva", groups=("boss",))
    again = await start_session(world, person, sign_in_of("first", world.clock()), hashed("another secret"))
    assert again is None
    assert await find_session(world, salon.tenant_id, hashed("another secret")) is None
    assert await refresh_actor(world, found) is not None


async def test_the_newest_sessions_of_a_person_stay(world: World, salon: Salon) -> None:
    """And what is over is deleted, so that the table does not grow."""
    team = await open_team(world, salon)
    start = world.clock()
    for number in range(MAX_SESSIONS_OF_PERSON + 2):
        later = team._replace(world=at(world, start + timedelta(seconds=number)))
        await begin(later, f"session {number}")
    other = await begin(team, "other", name="ben")
    kept = [
        await find_session(world, salon.tenant_id, hashed(f"session {number}")) is not None
        for number in range(MAX_SESSIONS_OF_PERSON + 2)
    ]
    assert kept == [False, False, *[True] * MAX_SESSIONS_OF_PERSON]
    assert await refresh_actor(world, other) is not None
    await begin(team._replace(world=at(world, start + timedelta(days=1))), "tomorrow")
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        (row,) = await tx.rows(text("SELECT count(*) AS many FROM staff_sessions"))
    assert row.many == 1


async def test_a_logout_token_is_heard_again_after_a_deadlock(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """A server that writes last uses locks the same sessions in another order. The provider tells a logout once."""
    application = "logout beside last uses"
    second = replace(world, database=Database(database_urls.app, pool_size=1, name=application))
    team = await open_team(world, salon)
    sessions = [found.session for found in [await begin(team, state) for state in ("first", "second")]]
    person = await team.person("eva", groups=("boss",))
    logout = Logout(team.issuer.id, person.subject, None, world.clock())
    use = text("UPDATE staff_sessions SET last_used_at = now() WHERE id = :id")
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        assert sessions[0]
        assert sessions[1]
        await tx.run(use, id=sessions[1].id)
        ending = asyncio.create_task(end_sessions_by_provider(second, salon.tenant_id, logout))
        await until(lambda: is_waiting_for_a_lock(database_urls.app, application))
        await tx.run(use, id=sessions[0].id)
    assert await ending == len(sessions)
    await second.database.close()


async def test_a_session_is_of_one_tenant(world: World, salon: Salon, other_salon: Salon) -> None:
    team = await open_team(world, salon)
    found = await begin(team, "first")
    assert await find_session(world, other_salon.tenant_id, hashed("first")) is None
    assert found.session is not None
    await end_session(world, other_salon.tenant_id, found.session.id)
    named = Logout(team.issuer.id, found.subject, None, world.clock())
    assert await end_sessions_by_provider(world, other_salon.tenant_id, named) == 0
    moved = replace(found, tenant_id=other_salon.tenant_id)
    assert await refresh_actor(world, moved) is None
    assert await refresh_actor(world, found) is not None


@pytest.mark.parametrize(
    ("person", "provider_session", "seconds", "ends"),
    [
        ("eva", None, 0, True),
        ("eva", None, 5, True),
        ("eva", None, -1, False),
        ("ben", None, 0, False),
        (None, "here", 0, True),
        (None, "there", 0, False),
        ("eva", "here", 0, True),
        ("eva", "there", 0, False),
        ("ben", "here", 0, False),
    ],
)
async def test_a_logout_token_ends_what_it_names_and_nothing_that_began_later(
    world: World, salon: Salon, person: str | None, provider_session: str | None, seconds: int, *, ends: bool
) -> None:
    team = await open_team(world, salon)
    signed_at = world.clock()
    found = await begin(team, "first", sign_in_of("first", signed_at, "here"))
    subject = subject_at_provider(team.issuer.id, person) if person else None
    logout = Logout(team.issuer.id, subject, provider_session, signed_at + timedelta(seconds=seconds))
    assert await end_sessions_by_provider(world, salon.tenant_id, logout) == int(ends)
    assert (await refresh_actor(world, found) is None) == ends
    other_issuer = await open_team(world, salon)
    foreign = logout._replace(issuer_id=other_issuer.issuer.id)
    assert await end_sessions_by_provider(world, salon.tenant_id, foreign) == 0


async def test_a_revocation_between_the_id_token_and_the_session_ends_the_session(world: World, salon: Salon) -> None:
    """The person's standing was read before the revocation, and the session begins after it."""
    team = await open_team(world, salon)
    person = await team.person("eva", groups=("boss",))
    signed_at = world.clock()
    await revoke_subject(at(world, signed_at + timedelta(seconds=1)), salon.tenant_id, person.subject, "test")
    for state, provider_clock, stands in (("before", 0, False), ("after", 2, True), ("ahead", 30, True)):
        sign_in = sign_in_of(state, signed_at + timedelta(seconds=provider_clock))
        later = at(world, signed_at + timedelta(seconds=3))
        assert await start_session(later, person, sign_in, hashed(state)) is not None
        found = await find_session(later, salon.tenant_id, hashed(state))
        assert found is not None
        assert (await refresh_actor(later, found) is not None) == stands, state


async def test_a_client_secret_opens_at_its_place_only_and_is_sealed_anew(
    world: World, salon: Salon, other_salon: Salon
) -> None:
    old, both, new = (
        replace(world, codes=CodeKeys.of(keys)) for keys in ([b"o" * 32], [b"n" * 32, b"o" * 32], [b"n" * 32])
    )

    async def provider_with(secret: str, audience: str, owner: Salon = salon) -> object:
        request = OidcIssuerRequest(
            "https://login.example", f"{salon.tenant_id} {audience}", "roles", [RoleValue("boss", TeamRole.OWNER)],
            client_id=f"{salon.tenant_id} {audience}", client_secret=secret,
        )  # fmt: skip
        return (await set_oidc_issuer(old, owner.owner, request)).id

    ids = [await provider_with("one", "first"), await provider_with("two", "second")]
    rows = []
    for issuer_id in ids:
        found = await find_provider(world, salon.tenant_id, issuer_id)  # type: ignore[arg-type]
        assert found is not None
        rows.append(found.row)
    assert [open_client_secret(old, salon.tenant_id, row) for row in rows] == ["one", "two"]
    assert not [row for row in rows if row.client_secret and b"one" in row.client_secret]
    swapped = rows[0]._replace(client_secret=rows[1].client_secret)
    for tenant_id, row in ((salon.tenant_id, swapped), (other_salon.tenant_id, rows[0])):
        with pytest.raises(CodeUnreadable):
            open_client_secret(old, tenant_id, row)
    with pytest.raises(CodeKeyMissing):
        await reseal_client_secrets(new, salon.tenant_id)
    assert (await reseal_client_secrets(both, salon.tenant_id)).resealed == 2
    assert (await reseal_client_secrets(new, salon.tenant_id)) == (0, ())
    found = await find_provider(world, salon.tenant_id, ids[0])  # type: ignore[arg-type]
    assert found is not None
    assert open_client_secret(new, salon.tenant_id, found.row) == "one"


async def test_a_removed_provider_keeps_no_secret(world: World, salon: Salon) -> None:
    """Nothing is left to be sealed anew; set again without a secret, the application is public."""
    sealing = replace(world, codes=CodeKeys.of([b"o" * 32]))
    request = OidcIssuerRequest(
        "https://login.example", f"{salon.tenant_id} gone", "roles", [RoleValue("boss", TeamRole.OWNER)],
        client_id=f"{salon.tenant_id} gone", client_secret="to be forgotten",
    )  # fmt: skip
    issuer = await set_oidc_issuer(sealing, salon.owner, request)
    assert issuer.client_secret is not None
    assert (await remove_oidc_issuer(sealing, salon.owner, issuer.id)).client_secret is None
    # The old key is not needed any more.
    assert await reseal_client_secrets(replace(world, codes=CodeKeys.of([b"n" * 32])), salon.tenant_id) == (0, ())
    again = await set_oidc_issuer(sealing, salon.owner, request._replace(client_secret=ABSENT))
    assert (again.id, again.client_id, again.client_secret) == (issuer.id, request.client_id, None)


@pytest.mark.parametrize("first", ["logout", "session"])
async def test_a_session_and_a_logout_token_wait_for_each_other(
    world: World, salon: Salon, database_urls: DatabaseUrls, first: str
) -> None:
    """Whichever is first: once both are done, nobody is signed in."""
    application = f"second to {first}"
    second = replace(world, database=Database(database_urls.app, pool_size=1, name=application))
    team = await open_team(world, salon)
    person, now = await team.person("eva", groups=("boss",)), world.clock()
    sign_in = sign_in_of("state", now)
    logout = Logout(team.issuer.id, person.subject, None, now)
    row = StaffSessionRow(
        id=uuid7(),
        sha256=hashed("state"),
        state_sha256=sign_in.state_sha256,
        issuer_id=team.issuer.id,
        issuer_version=team.issuer.version,
        subject=person.subject,
        display=person.display,
        email=None,
        claimed=[],
        provider_session=None,
        issued_at=now,
        started_at=now,
        ends_at=now + SESSION_LIFETIME,
    )

    async def start() -> None:
        with contextlib.suppress(SignedOutMeanwhile):
            await start_session(second, person, sign_in, hashed("state"))

    async def end() -> None:
        await end_sessions_by_provider(second, salon.tenant_id, logout)

    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await (lock_provider if first == "logout" else share_provider)(tx, team.issuer.id)
        if first == "logout":
            await remember_logout(tx, logout, now, now + timedelta(minutes=1), 10)
        other = asyncio.create_task(start() if first == "logout" else end())
        await until(lambda: is_waiting_for_a_lock(database_urls.app, application))
        if first == "session":
            assert await insert_session(tx, row)
    await other
    assert await find_session(world, salon.tenant_id, hashed("state")) is None
    await second.database.close()


async def test_a_remembered_logout_token_is_forgotten(world: World, salon: Salon) -> None:
    """A sign-in takes less time than that. Of one person the newest counts, and there are never more than so many."""
    team = await open_team(world, salon)
    now, eva = world.clock(), subject_at_provider(team.issuer.id, "eva")

    async def remembered() -> list[tuple[str, datetime]]:
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            rows = await tx.rows(text("SELECT subject, issued_at FROM provider_logouts ORDER BY subject"))
        return [(row.subject, row.issued_at) for row in rows]

    for seconds in (5, 0):
        logout = Logout(team.issuer.id, eva, None, now + timedelta(seconds=seconds))
        await end_sessions_by_provider(world, salon.tenant_id, logout)
    assert await remembered() == [(eva, now + timedelta(seconds=5))]
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        for number in range(5):
            one = Logout(team.issuer.id, f"person {number}", None, now)
            await remember_logout(tx, one, now, now + LOGOUT_REMEMBERED + timedelta(seconds=number + 1), 3)
    assert [subject for subject, _ in await remembered()] == ["person 2", "person 3", "person 4"]
    later = at(world, now + 2 * LOGOUT_REMEMBERED)
    await end_sessions_by_provider(later, salon.tenant_id, Logout(team.issuer.id, eva, None, now))
    assert await remembered() == [(eva, now)]
