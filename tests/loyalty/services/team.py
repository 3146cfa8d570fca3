"""People who sign in at a provider of a tenant, for tests of members and roles."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from loyalty.rules.staff_session import SignIn
from loyalty.services.authentication import refresh_actor
from loyalty.services.member import Identity, MemberRequest, add_member
from loyalty.services.oidc_issuer import OidcIssuerRequest, RoleValue, set_oidc_issuer
from loyalty.services.world import World
from loyalty.storage.members import MemberRow
from loyalty.storage.oidc_issuers import OidcIssuerRow, parse_mapped_roles
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
        now, subject = self.world.clock(), subject_at_provider(self.issuer.id, name)
        return Actor(
            kind=ActorKind.STAFF,
            tenant_id=self.salon.tenant_id,
            subject=subject,
            permissions=frozenset(),
            display=name,
            expires_at=now + timedelta(hours=1),
            signed=(SignedToken(f"oidc:{secrets.token_hex(8)}", subject, now),),
            issuer=IssuerMark(self.issuer.id, self.issuer.version),
            claimed=frozenset(role_id for value, role_id in parse_mapped_roles(self.issuer) if value in groups),
            email=email,
        )

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
