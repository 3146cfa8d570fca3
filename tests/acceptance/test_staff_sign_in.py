"""Staff with tokens of their tenant's own identity provider: a real server, a real provider, and many attacks."""

import base64
import hmac
import json
import secrets
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, code_of
from tests.acceptance.test_credential_ends import is_closed_with
from tests.fixtures.provider import Key, Provider, provider_process
from tests.fixtures.server import Installation, ServerProcess

WHO = "{ viewer { kind name permissions } }"
MAPPING = [
    {"value": "boss", "role": "OWNER"},
    {"value": "shift", "role": "MANAGER"},
    {"value": "till", "role": "STAFF"},
]

RSA, EC, OKP = (
    RSAKey.generate_key(2_048, {"kid": "rsa", "use": "sig"}),
    ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
    OKPKey.generate_key("Ed25519", {"kid": "okp", "use": "sig"}),
)
P384 = ECKey.generate_key("P-384", {"kid": "p384"})
FOR_ENCRYPTION = ECKey.generate_key("P-256", {"kid": "enc"})
TWICE = (ECKey.generate_key("P-256", {"kid": "twice"}), ECKey.generate_key("P-256", {"kid": "twice"}))
SHARED = OctKey.import_key(secrets.token_bytes(32), {"kid": "oct"})
STRANGER = RSAKey.generate_key(2_048, {"kid": "rsa"})


class Stage(NamedTuple):
    """A tenant whose staff sign in at a provider."""

    salon: Business
    provider: Provider
    server: ServerProcess
    audience: str
    issuer_id: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token, with changes. None leaves a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.provider.issuer,
            "aud": self.audience,
            "sub": "mara",
            "name": "Mara",
            "roles": ["shift"],
            "iat": now,
            "exp": now + 600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def caller(self, token: str) -> Caller:
        """Return somebody with a token."""
        return Caller(self.server, token)

    def sign_in(self, subject: str, **claims: Any) -> Caller:
        """Sign somebody in without a claim of roles that is mapped."""
        return self.caller(sign(self.claims(sub=subject, roles=["nothing"], **claims)))

    async def add_member(self, subject: str, role: Json, **changes: Any) -> str:
        """Add a member by their identity; return the id."""
        who = {"identity": {"issuer": self.issuer_id, "subject": subject}}
        given = {"name": subject, "person": who, "role": role, **changes}
        added = await self.salon.owner.at(self.server).do("memberAdd", "member { id }", **given)
        return str(added["member"]["id"])


def sign(claims: dict[str, Any], key: Key | OctKey = RSA, algorithm: str = "RS256", **header: Any) -> str:
    """Return a token as a provider signs it."""
    head = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **header}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode({name: value for name, value in head.items() if value is not None}, claims, key, [algorithm])


def part(value: object) -> str:
    """Return a part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def hand_signed(header: dict[str, Any], body: object) -> str:
    """Return a token with a header that no library signs, and a good RSA signature."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    signed, key = f"{part(header)}.{part(body)}", RSA.private_key
    assert key is not None
    return f"{signed}.{part(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Provide a provider with good keys, and some that are not."""
    with provider_process(tmp_path_factory.mktemp("provider")) as running:
        running.publish(RSA, EC, OKP, P384, {**FOR_ENCRYPTION.as_dict(private=False), "use": "enc"}, *TWICE)
        yield running


@pytest.fixture(scope="module")
async def server(installation: Installation) -> AsyncIterator[ServerProcess]:
    """Provide a server that may reach providers on this machine."""
    async with installation.serve_apart("providers", {"TREUE_PRIVATE_PROVIDERS": "true"}) as running:
        yield running


@pytest.fixture
async def stage(salon: Business, provider: Provider, server: ServerProcess) -> Stage:
    """Provide a salon that has set the provider."""
    audience = secrets.token_hex(8)
    made = await set_up(salon.owner.at(server), provider, audience)
    return Stage(salon, provider, server, audience, made["oidcIssuer"]["id"])


async def set_up(owner: Caller, provider: Provider, audience: str, **changes: Any) -> Any:
    """Set the provider for a tenant."""
    given = {"issuer": provider.issuer, "audience": audience, "roles": MAPPING, **changes}
    return await owner.do("oidcIssuerSet", "oidcIssuer { id issuer audience roles { value role } }", **given)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (OKP, "EdDSA")], ids=["RSA", "EC", "OKP"]
)
async def test_a_token_of_the_provider_is_a_person_of_the_team(stage: Stage, key: Key, algorithm: str) -> None:
    for changes, kind in (({}, "JWT"), ({"aud": [stage.audience, "https://userinfo.example"]}, "at+jwt")):
        token = sign(stage.claims(**changes), key, algorithm, typ=kind, x5t="thumbprint")
        found = await stage.caller(token).get(WHO)
        assert (found["kind"], found["name"]) == ("STAFF", "Mara")
        assert "LOYALTY_MANAGE" in found["permissions"]
        assert "TOKENS_MANAGE" not in found["permissions"]
    till = await stage.caller(sign(stage.claims(roles="till"), key, algorithm)).get(WHO)
    assert "LOYALTY_MANAGE" not in till["permissions"]
    both = await stage.caller(sign(stage.claims(roles=["till", "boss", "other"]), key, algorithm)).get(WHO)
    assert "TOKENS_MANAGE" in both["permissions"]


Attack = Callable[[Stage], str]


def changed(**claims: Any) -> Attack:
    """Return a token that is signed well and says something else."""
    return lambda stage: sign(stage.claims(**claims))


def headed(**header: Any) -> Attack:
    """Return a token that is signed well and has another header."""
    return lambda stage: hand_signed({"alg": "RS256", "kid": "rsa", "typ": "JWT", **header}, stage.claims())


def in_seconds(seconds: int) -> int:
    """Return an instant as tokens tell it."""
    return int(time.time()) + seconds


def confused(stage: Stage) -> str:
    """Return a token that is signed by HS256 with the public key as the secret."""
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{part(stage.claims())}"
    return f"{signed}.{part(hmac.digest(RSA.as_pem(private=False), signed.encode(), 'sha256'))}"


def unsigned(algorithm: str) -> Attack:
    """Return a token without a signature."""
    return lambda stage: f"{part({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{part(stage.claims())}."


def twice(name: str, value: object) -> Attack:
    """Return a claim that is there twice."""

    def attack(stage: Stage) -> str:
        body = json.dumps(stage.claims())[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"
        return hand_signed({"alg": "RS256", "kid": "rsa", "typ": "JWT"}, body.encode())

    return attack


def cut(change: Callable[[list[str]], str]) -> Attack:
    """Return a good token whose text is changed."""
    return lambda stage: change(sign(stage.claims()).split("."))


def flipped(text: str) -> str:
    """Return the text with another first character."""
    return ("B" if text[0] == "A" else "A") + text[1:]


ATTACKS: dict[str, Attack] = {
    # algorithms
    "no algorithm": unsigned("none"),
    "no algorithm, in capitals": unsigned("NONE"),
    "an empty algorithm": unsigned(""),
    "RS256 without a signature": unsigned("RS256"),
    "the public key as a secret": confused,
    "a shared secret": lambda stage: sign(stage.claims(), SHARED, "HS256"),
    "RS512": lambda stage: sign(stage.claims(), RSA, "RS512"),
    "PS256": lambda stage: sign(stage.claims(), RSA, "PS256"),
    "ES384": lambda stage: sign(stage.claims(), P384, "ES384"),
    "ES256 with the id of an RSA key": lambda stage: sign(stage.claims(), EC, "ES256", kid="rsa"),
    "RS256 with the id of an EC key": lambda stage: sign(stage.claims(), RSA, "RS256", kid="ec"),
    "an algorithm that is a list": headed(alg=["RS256"]),
    "an algorithm that is null": headed(alg=None),
    # keys
    "another key with the same id": lambda stage: sign(stage.claims(), STRANGER),
    "an unknown key": lambda stage: sign(stage.claims(), RSA, kid="unknown"),
    "no key id": lambda stage: sign(stage.claims(), RSA, kid=None),
    "an empty key id": headed(kid=""),
    "a key id that is a number": headed(kid=1),
    "a key id that is a path": headed(kid="../../keys"),
    "a key id with NUL": headed(kid="rsa\0"),
    "a key for encryption": lambda stage: sign(stage.claims(), FOR_ENCRYPTION, "ES256"),
    "an id that stands for two keys": lambda stage: sign(stage.claims(), TWICE[0], "ES256"),
    "the other of two keys": lambda stage: sign(stage.claims(), TWICE[1], "ES256"),
    # headers that bring keys or must be understood
    "jku": headed(jku="http://127.0.0.1:9/keys"),
    "x5u": headed(x5u="http://127.0.0.1:9/cert"),
    "jwk": headed(jwk=STRANGER.as_dict(private=False)),
    "x5c": headed(x5c=["MIIB"]),
    "crit": headed(crit=["exp"]),
    "b64": headed(b64=False),
    "zip": headed(zip="DEF"),
    "cty": headed(cty="JWT"),
    "an encrypted token": headed(enc="A256GCM"),
    "a logout token by its type": headed(typ="logout+jwt"),
    "a type that is a number": headed(typ=1),
    "a key of ours": headed(kid="treue"),
    # issuer and audience
    "another issuer": changed(iss="https://login.example"),
    "an issuer with a slash more": lambda stage: sign(stage.claims(iss=stage.provider.issuer + "/")),
    "an issuer in capitals": lambda stage: sign(stage.claims(iss=stage.provider.issuer.upper())),
    "no issuer": changed(iss=None),
    "an issuer that is a list": lambda stage: sign(stage.claims(iss=[stage.provider.issuer])),
    "our own issuer": changed(iss="treue"),
    "another audience": changed(aud="other"),
    "our own audience": changed(aud="treue-api"),
    "an audience in capitals": lambda stage: sign(stage.claims(aud=stage.audience.upper() + "X")),
    "no audience": changed(aud=None),
    "an empty list of audiences": changed(aud=[]),
    "an audience that is a number": changed(aud=1),
    "an audience twice": lambda stage: sign(stage.claims(aud=[stage.audience, stage.audience])),
    "too many audiences": lambda stage: sign(stage.claims(aud=[stage.audience, *"abcd"])),
    # times
    "expired": lambda stage: sign(stage.claims(exp=in_seconds(-1), iat=in_seconds(-60))),
    "no end": changed(exp=None),
    "an end that is a text": lambda stage: sign(stage.claims(exp=str(in_seconds(60)))),
    "an end that is true": changed(exp=True),
    "an end in the far future": lambda stage: sign(stage.claims(exp=in_seconds(90_000))),
    "an end beyond all calendars": changed(exp=10**30),
    "not valid yet": lambda stage: sign(stage.claims(nbf=in_seconds(600))),
    "a beginning that is null": lambda stage: hand_signed(
        {"alg": "RS256", "kid": "rsa", "typ": "JWT"}, {**stage.claims(), "nbf": None}
    ),
    "issued in the future": lambda stage: sign(stage.claims(iat=in_seconds(600), exp=in_seconds(1_200))),
    "no issue": changed(iat=None),
    # who
    "no subject": changed(sub=None),
    "an empty subject": changed(sub=""),
    "a subject that is a number": changed(sub=1),
    "a subject with NUL": changed(sub="mara\0"),
    "a long subject": changed(sub="m" * 201),
    "no roles": changed(roles=None),
    "roles that nobody mapped": changed(roles=["stranger"]),
    "roles in capitals": changed(roles=["BOSS"]),
    "roles that are an object": changed(roles={"boss": True}),
    "roles with a number": changed(roles=["boss", 1]),
    "our own claims of a role": changed(roles=None, role="OWNER", permissions=["tokens:manage"]),
    "a security event": changed(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    # two of one
    "two subjects": twice("sub", "boss"),
    "two ends": twice("exp", 9_999_999_999),
    "two issuers": twice("iss", "https://login.example"),
    "roles twice": twice("roles", ["boss"]),
    # form
    "no signature": cut(lambda parts: ".".join(parts[:2])),
    "an empty signature": cut(lambda parts: ".".join([*parts[:2], ""])),
    "another signature": cut(lambda parts: ".".join([*parts[:2], flipped(parts[2])])),
    "another header": cut(lambda parts: ".".join([flipped(parts[0]), *parts[1:]])),
    "other claims": lambda stage: ".".join(
        [sign(stage.claims()).split(".")[0], part(stage.claims(roles=["boss"])), sign(stage.claims()).split(".")[2]]
    ),
    "four parts": cut(lambda parts: ".".join([*parts, parts[2]])),
    "base64 with padding": cut(lambda parts: ".".join([parts[0], parts[1] + "=", parts[2]])),
    "base64 of another alphabet": cut(lambda parts: ".".join([*parts[:2], "+/" + parts[2][2:]])),
    "claims that are a list": lambda stage: hand_signed({"alg": "RS256", "kid": "rsa"}, [stage.claims()]),
    "claims that are no JSON": lambda _: hand_signed({"alg": "RS256", "kid": "rsa"}, b"mara"),
    "claims that are no UTF-8": lambda _: hand_signed({"alg": "RS256", "kid": "rsa"}, b'{"iss": "\xff"}'),
    "NaN": lambda stage: hand_signed(
        {"alg": "RS256", "kid": "rsa"}, json.dumps({**stage.claims(), "x": float("nan")}).encode()
    ),
    "nested without end": lambda _: hand_signed({"alg": "RS256", "kid": "rsa"}, b"[" * 1_000),
    "a huge token": changed(padding="x" * 10_000),
}


async def test_there_are_many_attacks_and_all_are_refused(stage: Stage, provider: Provider) -> None:
    """Each is answered as an unknown credential is, and none makes the server call anybody but the provider's keys."""
    assert len(ATTACKS) >= 60
    good = stage.caller(sign(stage.claims()))
    assert (await good.get(WHO))["kind"] == "STAFF"
    let_in = []
    async with stage.salon.unchanged():
        for name, attack in ATTACKS.items():
            answer = await stage.caller(attack(stage)).answer(WHO)
            if code_of(answer) != "UNAUTHENTICATED" or "data" in answer:
                let_in.append((name, answer))
    assert let_in == []
    assert (await good.get(WHO))["kind"] == "STAFF"
    assert set(provider.asked()) <= {"/.well-known/openid-configuration", "/keys"}
    assert len(provider.asked()) <= 2 * 2


async def test_a_token_leads_to_the_tenant_of_its_audience_only(stage: Stage, rival: Business) -> None:
    """Nobody takes a pair that another tenant has, not even after that one removed it."""
    taken = await rival.owner.at(stage.server).refusals(
        "oidcIssuerSet", issuer=stage.provider.issuer, audience=stage.audience, roles=MAPPING
    )
    assert [(error["code"], error["path"]) for error in taken] == [("INVALID_INPUT", ["audience"])]
    other = secrets.token_hex(8)
    await set_up(rival.owner.at(stage.server), stage.provider, other)
    ours, theirs = (sign(stage.claims(aud=one)) for one in (stage.audience, other))
    tenants = [await stage.caller(token).get("{ viewer { tenant { id } } }") for token in (ours, theirs)]
    assert tenants[0] != tenants[1]
    both = sign(stage.claims(aud=[stage.audience, other]))
    assert code_of(await stage.caller(both).answer(WHO)) == "UNAUTHENTICATED"
    await stage.salon.owner.at(stage.server).do("oidcIssuerRemove", "oidcIssuer { id }", id=stage.issuer_id)
    assert await rival.owner.at(stage.server).refusals(
        "oidcIssuerSet", issuer=stage.provider.issuer, audience=stage.audience, roles=MAPPING
    )


async def test_removing_and_changing_a_provider_takes_effect_at_once(stage: Stage) -> None:
    owner, mara = stage.salon.owner.at(stage.server), stage.caller(sign(stage.claims()))
    assert "LOYALTY_MANAGE" in (await mara.get(WHO))["permissions"]
    await set_up(owner, stage.provider, stage.audience, roles=[{"value": "shift", "role": "STAFF"}])
    assert "LOYALTY_MANAGE" not in (await mara.get(WHO))["permissions"]

    async def remove() -> object:
        return await owner.do("oidcIssuerRemove", "oidcIssuer { id }", id=stage.issuer_id)

    code, seconds = await is_closed_with(mara, remove)
    assert (code, seconds < 5) == (4403, True)
    assert code_of(await mara.answer(WHO)) == "UNAUTHENTICATED"
    assert await owner.get("{ oidcIssuers { totalCount nodes { id } } }") == {"totalCount": 0, "nodes": []}
    back = await set_up(owner, stage.provider, stage.audience)
    assert back["oidcIssuer"]["id"] == stage.issuer_id
    assert (await mara.get(WHO))["name"] == "Mara"


async def test_a_person_is_signed_out_by_their_subject(stage: Stage) -> None:
    owner, mara = stage.salon.owner.at(stage.server), stage.caller(sign(stage.claims()))
    assert (await mara.get(WHO))["kind"] == "STAFF"
    made = await mara.answer("{ viewer { name } }")
    assert made["data"]["viewer"]["name"] == "Mara"
    raw = base64.urlsafe_b64decode(stage.issuer_id + "=" * (-len(stage.issuer_id) % 4)).decode().partition(":")[2]
    subject = f"oidc:{raw}:mara"
    await owner.do("signedTokensRevoke", "revokedAt", of={"subject": subject})
    assert code_of(await mara.answer(WHO)) == "UNAUTHENTICATED"


async def test_only_a_person_sets_a_provider_and_nobody_maps_to_more_than_they_hold(stage: Stage) -> None:
    owner = stage.salon.owner.at(stage.server)
    made = await owner.do("apiTokenCreate", "secret", name="System", permissions=["TOKENS_MANAGE", "LOYALTY_READ"])
    system = owner._replace(token=made["secret"])
    document = "mutation($input: OidcIssuerSetInput!) { oidcIssuerSet(input: $input) { userErrors { code } } }"
    given: dict[str, Any] = {"issuer": stage.provider.issuer, "audience": "x", "roles": MAPPING}
    assert code_of(await system.answer(document, input=given)) == "FORBIDDEN"
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({"issuer": "ftp://login.example"}, ["issuer"]),
        ({"issuer": stage.provider.issuer + "?x=1"}, ["issuer"]),
        ({"audience": ""}, ["audience"]),
        ({"roleClaim": ""}, ["roleClaim"]),
        ({"roles": []}, ["roles"]),
        ({"roles": [*MAPPING, MAPPING[0]]}, ["roles", "3", "value"]),
    ]
    for change, path in wrong:
        (error,) = await owner.refusals("oidcIssuerSet", **{**given, **change})
        assert (error["code"], error["path"]) == ("INVALID_INPUT", path), change
    at_home = stage.salon.owner
    (error,) = await at_home.refusals("oidcIssuerSet", **given)
    assert error["path"] == ["issuer"]
