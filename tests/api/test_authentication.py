"""Credential → actor: the right one, or `Unauthenticated` without a query."""

import dataclasses
import datetime as dt
import uuid

import pytest
from joserfc.jwk import ECKey
from structlog.testing import capture_logs

from api.authentication import Authenticator, Unauthenticated, is_expired
from api.issuer import Issuer
from api.tokens import hash_token, make_token
from loyalty.rules.ids import TenantId, TokenId
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.roles import ROLE_PERMISSIONS, Role
from tests.api.small import actor

TENANT = TenantId(uuid.UUID("0190a000-0000-7000-8000-000000000001"))
CUSTOMER = uuid.UUID("0190a000-0000-7000-8000-000000000002")
ISSUER = Issuer(ECKey.generate_key("P-256"))
HOUR = dt.timedelta(hours=1)


class Directory:
    """What the database would know: tokens by hash, and who is gone."""

    def __init__(self) -> None:
        self.tokens: dict[str, Actor] = {}
        self.gone: set[str] = set()
        self.looked_up: list[str] = []
        self.standings: list[str] = []

    async def read_token(self, sha256: str) -> Actor | None:
        self.looked_up.append(sha256)
        return self.tokens.get(sha256)

    async def read_standing(self, who: Actor) -> Actor:
        self.standings.append(who.subject)
        if who.subject in self.gone:
            raise Unauthenticated("The token is not valid.")
        return who


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def authenticate(directory: Directory) -> Authenticator:
    return Authenticator(ISSUER, directory.read_token, directory.read_standing)


def token(role: Role, subject: str = "user-1", grants: tuple[str, ...] | None = None) -> str:
    issued = ISSUER.issue(
        subject=subject, tenant_id=TENANT, role=role, name="Ada " + "x" * 200, lifetime=HOUR, grants=grants
    )
    return f"Bearer {issued.text}"


@pytest.mark.parametrize("role", [Role.OWNER, Role.MANAGER, Role.STAFF], ids=str)
async def test_a_jwt_of_the_team_is_a_staff_actor(
    authenticate: Authenticator, directory: Directory, role: Role
) -> None:
    who = await authenticate(token(role))
    assert (who.kind, who.tenant_id, who.subject) == (ActorKind.STAFF, TENANT, "user-1")
    assert who.permissions == ROLE_PERMISSIONS[role]
    assert who.customer_id is None
    assert who.expires_at is not None
    assert len(who.display) == 120
    assert directory.standings == ["user-1"]
    assert directory.looked_up == []


async def test_a_jwt_of_a_customer_is_that_customer(authenticate: Authenticator) -> None:
    who = await authenticate(token(Role.CUSTOMER, str(CUSTOMER)))
    assert (who.kind, who.customer_id) == (ActorKind.CUSTOMER, CUSTOMER)
    assert who.permissions == {Permission.SELF_READ, Permission.SELF_REDEEM}


async def test_grants_narrow_a_role_and_never_widen_it(authenticate: Authenticator) -> None:
    narrow = await authenticate(token(Role.OWNER, grants=("loyalty:read", "self:read")))
    assert narrow.permissions == {Permission.LOYALTY_READ}
    none = await authenticate(token(Role.CUSTOMER, str(CUSTOMER), grants=("loyalty:*", "tokens:manage")))
    assert none.permissions == frozenset()


async def test_who_no_longer_stands_is_refused(authenticate: Authenticator, directory: Directory) -> None:
    directory.gone.add("user-1")
    with pytest.raises(Unauthenticated):
        await authenticate(token(Role.OWNER))


async def test_an_api_token_is_looked_up_by_its_hash(authenticate: Authenticator, directory: Directory) -> None:
    made = make_token("api")
    known = dataclasses.replace(actor("shop"), kind=ActorKind.API_TOKEN, token_id=TokenId(uuid.uuid4()))
    directory.tokens[made.sha256] = known
    assert await authenticate(f"Bearer {made.text}") == known
    assert directory.looked_up == [hash_token(made.text)]
    assert made.text not in str(directory.__dict__)


async def test_an_unknown_or_expired_api_token_is_refused(authenticate: Authenticator, directory: Directory) -> None:
    with pytest.raises(Unauthenticated):
        await authenticate(f"Bearer {make_token('api').text}")
    made = make_token("api")
    directory.tokens[made.sha256] = actor("shop", dt.datetime.now(dt.UTC))
    with pytest.raises(Unauthenticated):
        await authenticate(f"Bearer {made.text}")


GOOD = make_token("api").text


def name_malformed(authorization: str | None) -> str:
    """Return a name for a test that is the same in every process, though the token is not."""
    return ascii(authorization).replace(GOOD, "GOOD").replace(GOOD[:-1], "GOOD[:-1]").replace(GOOD[1:], "GOOD[1:]")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        GOOD,
        f"Basic {GOOD}",
        f"Token {GOOD}",
        f"Bearer{GOOD}",
        f"Bearer {GOOD[:-1]}",
        f"Bearer {GOOD}x",
        f"Bearer {GOOD} {GOOD}",
        f"Bearer {GOOD}\x00",
        f"Bearer\t{GOOD}",
        f"Bearer ｔ{GOOD[1:]}",
        "Bearer treue_",
        "Bearer treue_api_" + "0" * 49,
        "Bearer undefined",
        "Bearer null",
        "Bearer a.b.c",
        "Bearer " + "x" * 1_000_000,
        "Bearer \ud800",
        "Bearer é",
    ],
    ids=lambda value: name_malformed(value)[:40],
)
async def test_refuses_malformed_credentials_without_a_query(
    authenticate: Authenticator, directory: Directory, authorization: str | None
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await authenticate(authorization)
    assert refused.value.missing == (not authorization)
    assert directory.looked_up == []
    assert directory.standings == []
    assert GOOD not in str(refused.value)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_not_case_sensitive(authenticate: Authenticator, directory: Directory, scheme: str) -> None:
    directory.tokens[hash_token(GOOD)] = actor("shop")
    assert (await authenticate(f"{scheme}  {GOOD} ")).subject == "shop"


async def test_a_refused_jwt_is_logged_with_its_reason_but_not_itself(authenticate: Authenticator) -> None:
    bad = token(Role.OWNER)[:-4] + "AAAA"
    with capture_logs() as lines, pytest.raises(Unauthenticated):
        await authenticate(bad)
    assert lines[0]["reason"].startswith("not signed by us")
    assert bad.split(".")[1] not in str(lines)


async def test_a_database_that_is_away_is_no_refusal(directory: Directory) -> None:
    async def away(_sha256: str) -> Actor | None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await Authenticator(ISSUER, away, directory.read_standing)(f"Bearer {GOOD}")


def test_a_credential_ends_at_its_instant() -> None:
    now = dt.datetime.now(dt.UTC)
    assert is_expired(actor("ada", now))
    assert not is_expired(actor("ada", now + HOUR))
    assert not is_expired(actor("ada"))
