"""People who sign in at a provider of a tenant, for tests of members and roles."""

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.ids import TenantId
from loyalty.rules.staff_session import SignIn
from loyalty.services.authentication import refresh_actor
from loyalty.services.member import Identity, MemberRequest, add_member
from loyalty.services.oidc_issuer import OidcIssuerRequest, RoleValue, set_oidc_issuer
from loyalty.services.staff_session import start_session
from loyalty.services.world import World
from loyalty.storage.members import MemberRow
from loyalty.storage.oidc_issuers import OidcIssuerRow, parse_mapped_roles, read_issuers_by_id
from permissions.actor import Actor, ActorKind, IssuerMark, SignedToken, subject_at_provider
from permissions.roles import BUILT_IN_ROLES, TeamRole
from tests.fixtures.tenants import Salon

OWNER, ADMIN, MANAGER, STAFF, READER = (BUILT_IN_ROLES[role].id for role in TeamRole)


class Team(NamedTuple):
    """A tenant whose people sign in at a provider."""

    world: World
    salon: Salon
    issuer: OidcIssuerRow

    def token(self, name: str, *, email: str | None = None, groups: tuple[str, ...] = ()) -> Actor:
        """Return the actor of a new token of the provider, before its standing is read.

        ``groups`` are values of the claim that stands for roles.
        """
        described = describe_person(self.salon.tenant_id, self.issuer, name, self.world.clock())
        claimed = frozenset(role_id for value, role_id in parse_mapped_roles(self.issuer) if value in groups)
        return replace(described, claimed=claimed, email=email)

    async def find(self, name: str, *, email: str | None = None, groups: tuple[str, ...] = ()) -> Actor | None:
        """Return the actor of a person with a new token and their standing."""
        return await refresh_actor(self.world, self.token(name, email=email, groups=groups))

    async def person(self, name: str, *, email: str | None = None, groups: tuple[str, ...] = ()) -> Actor:
        """Return the actor of a person with a new token. The person must be admitted."""
        found = await self.find(name, email=email, groups=groups)
        assert found is not None, name
        return found

    async def add(self, name: str, role_id: object) -> MemberRow:
        """Add a member by their identity, as the owner."""
        request = MemberRequest(name, role_id, Identity(self.issuer.id, name))  # type: ignore[arg-type]
        return (await add_member(self.world, self.salon.owner, request)).member

    async def member(self, name: str, role_id: object) -> Actor:
        """Add a member, and return their actor."""
        await self.add(name, role_id)
        return await self.person(name)


def describe_person(tenant_id: TenantId, issuer: OidcIssuerRow, name: str, now: datetime) -> Actor:
    """What a token without a claim describes."""
    subject = subject_at_provider(issuer.id, name)
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=tenant_id,
        subject=subject,
        permissions=frozenset(),
        display=name,
        expires_at=now + timedelta(hours=1),
        signed=(SignedToken(f"oidc:{secrets.token_hex(8)}", subject, now),),
        issuer=IssuerMark(issuer.id, issuer.version),
    )


async def begin_session(world: World, tenant_id: TenantId, issuer_id: UUID, name: str) -> UUID:
    """A browser session of a person at a provider; its id."""
    issuer = (await read_issuers_by_id(world.database.reading(tenant_id), [issuer_id]))[issuer_id]
    state, now = secrets.token_hex(8), world.clock()
    person = describe_person(tenant_id, issuer, name, now)
    proved = sign_in_of(state, now)._replace(user_agent="Test/1.0")
    begun = await start_session(world, person, proved, hashlib.sha256(f"secret of {state}".encode()).hexdigest())
    assert begun is not None
    return begun.id


def sign_in_of(state: str, now: datetime, provider_session: str | None = None) -> SignIn:
    """Return what a browser has proved at the provider just now."""
    return SignIn(hashlib.sha256(state.encode()).hexdigest(), provider_session, now)


async def open_team(world: World, salon: Salon) -> Team:
    """Return a salon with a provider: `boss` is an owner there, `till` works at the counter."""
    request = OidcIssuerRequest(
        "https://login.example",
        secrets.token_hex(8),
        "groups",
        [RoleValue("boss", TeamRole.OWNER), RoleValue("till", TeamRole.STAFF)],
    )
    return Team(world, salon, await set_oidc_issuer(world, salon.owner, request))
