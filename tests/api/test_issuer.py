"""JWTs: only what this issuer signed, for this audience, now; and every trap that JWTs are known for."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from api.issuer import AUDIENCE, ISSUER, MAX_LIFETIME, MAX_TOKEN_LENGTH, Claims, InvalidToken, Issuer
from loyalty.rules.ids import TenantId, TokenId
from permissions.actor import SignedToken
from permissions.catalog import UnknownGrant
from permissions.roles import Role

TENANT = TenantId(uuid.UUID("0190a000-0000-7000-8000-000000000001"))
CUSTOMER = "0190a000-0000-7000-8000-000000000002"
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
KEY = ECKey.generate_key("P-256")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> Issuer:
    return Issuer(KEY, clock=clock)


def issue(issuer: Issuer, **changes: Any) -> str:
    values: dict[str, Any] = {
        "subject": "user-1",
        "tenant_id": TENANT,
        "role": Role.MANAGER,
        "name": "Ada",
        "lifetime": HOUR,
    }
    return issuer.issue(**(values | changes)).text


def claims(**changes: Any) -> dict[str, Any]:
    seconds = int(NOW.timestamp())
    values = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "iat": seconds,
        "nbf": seconds,
        "exp": seconds + 3_600,
        "jti": "id-1",
        "tenant": str(TENANT),
        "role": "MANAGER",
        "name": "Ada",
    }
    return {name: value for name, value in (values | changes).items() if value is not ...}


def sign(payload: dict[str, Any], key: ECKey = KEY, **header: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": KEY.thumbprint()} | header, payload, key, algorithms=["ES256"])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_verifies_what_it_issued(issuer: Issuer) -> None:
    issued = issuer.issue(subject="user-1", tenant_id=TENANT, role=Role.OWNER, name="Ada", lifetime=HOUR)
    read = issuer.verify(issued.text)
    assert read == Claims("user-1", TENANT, Role.OWNER, "Ada", NOW + HOUR, read.token_id, None, NOW)
    assert issued.expires_at == NOW + HOUR
    assert str(uuid.UUID(read.token_id)) == read.token_id


def test_the_maker_travels_with_the_token(issuer: Issuer) -> None:
    """A signed token by what it can be revoked by, an API token by its id; an operator leaves no maker."""
    maker = SignedToken("id-1", "user-1", NOW)
    token_id = TokenId(uuid.UUID(CUSTOMER))
    makers = [(None, None), (maker, None), (None, token_id), (maker, token_id)]
    read = [issuer.verify(issue(issuer, maker=one, maker_token_id=other)) for one, other in makers]
    assert [(one.maker, one.maker_token_id) for one in read] == makers
    assert read[0].signed == SignedToken(read[0].token_id, "user-1", NOW)


def test_a_token_ends_with_its_lifetime_or_sooner(issuer: Issuer) -> None:
    ends = [issuer.verify(issue(issuer, ends_by=NOW + end)).expires_at for end in (HOUR / 2, HOUR, 2 * HOUR)]
    assert ends == [NOW + HOUR / 2, NOW + HOUR, NOW + HOUR]
    with pytest.raises(InvalidToken):
        issue(issuer, ends_by=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"maker": "id-1"},
        {"maker": {"jti": "id-1", "sub": "user-1"}},
        {"maker": {"jti": "", "sub": "user-1", "iat": 1}},
        {"maker": {"jti": "id-1", "sub": None, "iat": 1}},
        {"maker_token": "id-1"},
        {"maker_token": 7},
    ],
)
def test_a_maker_that_is_none_is_refused(issuer: Issuer, wrong: dict[str, Any]) -> None:
    """A token that does not say what ends it is refused."""
    with pytest.raises(InvalidToken):
        issuer.verify(sign(claims(**wrong)))


def test_grants_travel_with_the_token(issuer: Issuer) -> None:
    assert issuer.verify(issue(issuer, grants=("loyalty:read",))).grants == ("loyalty:read",)
    with pytest.raises(UnknownGrant):
        issue(issuer, grants=("loyalty:fly",))


def test_every_token_has_its_own_id(issuer: Issuer) -> None:
    assert issuer.verify(issue(issuer)).token_id != issuer.verify(issue(issuer)).token_id


def test_the_header_names_algorithm_and_key(issuer: Issuer) -> None:
    header = json.loads(base64.urlsafe_b64decode(issue(issuer).split(".")[0] + "=="))
    assert header == {"alg": "ES256", "kid": issuer.key_id, "typ": "JWT"}


@pytest.mark.parametrize(
    "changes",
    [
        {"lifetime": dt.timedelta(0)},
        {"lifetime": -HOUR},
        {"lifetime": MAX_LIFETIME + HOUR},
        {"role": Role.INTEGRATION},
        {"role": Role.CUSTOMER},
        {"subject": ""},
        {"subject": "x" * 256},
        {"name": "\x00"},
        {"name": ""},
    ],
)
def test_does_not_issue_what_it_would_not_accept(issuer: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, InvalidToken)):
        issue(issuer, **changes)


def test_a_customer_is_named_by_a_uuid(issuer: Issuer) -> None:
    read = issuer.verify(issue(issuer, role=Role.CUSTOMER, subject=CUSTOMER))
    assert (read.role, read.subject) == (Role.CUSTOMER, CUSTOMER)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone"},
        {"iss": ...},
        {"iss": [ISSUER]},
        {"aud": "other-api"},
        {"aud": ...},
        {"aud": [AUDIENCE, "other-api"]},
        {"exp": ...},
        {"exp": int(NOW.timestamp())},
        {"exp": int(NOW.timestamp()) - 1},
        {"exp": "9999999999"},
        {"exp": 1e12},
        {"exp": True},
        {"exp": 10**30},
        {"exp": -(10**30)},
        {"exp": None},
        {"exp": int((NOW + MAX_LIFETIME + HOUR).timestamp())},
        {"nbf": int(NOW.timestamp()) + 31},
        {"nbf": ...},
        {"iat": int(NOW.timestamp()) + 31},
        {"iat": ...},
        {"sub": ...},
        {"sub": 5},
        {"sub": ""},
        {"sub": "a\x00b"},
        {"sub": "x" * 256},
        {"jti": ...},
        {"name": ...},
        {"name": {"first": "Ada"}},
        {"tenant": ...},
        {"tenant": "1"},
        {"tenant": "{0190a000-0000-7000-8000-000000000001}"},
        {"tenant": "0190A000-0000-7000-8000-00000000000A"},
        {"tenant": "0190a000000070008000000000000001"},
        {"tenant": ["0190a000-0000-7000-8000-000000000001"]},
        {"role": ...},
        {"role": "EMPEROR"},
        {"role": "owner"},
        {"role": "INTEGRATION"},
        {"role": ["OWNER"]},
        {"role": "CUSTOMER"},
        {"role": "CUSTOMER", "sub": "0190A000-0000-7000-8000-00000000000B"},
        {"permissions": "loyalty:*"},
        {"permissions": ["loyalty:fly"]},
        {"permissions": [5]},
    ],
    ids=str,
)
def test_refuses_signed_claims_that_are_wrong(issuer: Issuer, changes: dict[str, Any]) -> None:
    assert issuer.verify(sign(claims()))
    with pytest.raises(InvalidToken):
        issuer.verify(sign(claims(**changes)))


def test_other_clocks_may_be_half_a_minute_ahead(issuer: Issuer, clock: Clock) -> None:
    token = issue(issuer)
    clock.now = NOW - dt.timedelta(seconds=30)
    assert issuer.verify(token)
    clock.now = NOW - dt.timedelta(seconds=31)
    with pytest.raises(InvalidToken, match="not valid yet"):
        issuer.verify(token)


def test_the_end_is_exact(issuer: Issuer, clock: Clock) -> None:
    token = issue(issuer)
    clock.now = NOW + HOUR - dt.timedelta(microseconds=1)
    assert issuer.verify(token)
    clock.now = NOW + HOUR
    with pytest.raises(InvalidToken, match="expired"):
        issuer.verify(token)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Provide the tokens whose signature is looked at."""
    tokens: list[str] = []
    decode = jwt.decode

    def note_and_decode(token: str, *rest: Any, **named: Any) -> Any:
        tokens.append(token)
        return decode(token, *rest, **named)

    monkeypatch.setattr(jwt, "decode", note_and_decode)
    return tokens


def test_verifies_a_signature_once_and_the_times_every_time(issuer: Issuer, clock: Clock, decoded: list[str]) -> None:
    token, other = issue(issuer), issue(issuer, subject="user-2")
    assert [issuer.verify(one).subject for one in (token, other, token, other)] == ["user-1", "user-2"] * 2
    assert decoded == [token, other]
    clock.now += HOUR
    with pytest.raises(InvalidToken, match="expired"):
        issuer.verify(token)


def test_forgets_the_signature_that_was_not_used_for_longest(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    monkeypatch.setattr("api.issuer.MAX_REMEMBERED_SIGNATURES", 2)
    first, second, third = (issue(issuer, subject=f"user-{number}") for number in range(3))
    for token in (first, second, first, third, first, second):
        issuer.verify(token)
    assert decoded == [first, second, third, second]


def test_remembers_no_refused_signature(issuer: Issuer, decoded: list[str]) -> None:
    forged = issue(issuer)[:-8] + "AAAAAAAA"
    for _ in range(2):
        with pytest.raises(InvalidToken, match="not signed by us"):
            issuer.verify(forged)
    assert decoded == [forged, forged]


def test_refuses_an_unsigned_token(issuer: Issuer) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        for signature in ("", "x"):
            with pytest.raises(InvalidToken):
                issuer.verify(f"{part({'alg': algorithm, 'kid': issuer.key_id})}.{part(claims())}.{signature}")


def test_refuses_a_token_signed_with_the_public_key_as_a_secret(issuer: Issuer) -> None:
    """HS256 with the public key: the classic confusion of algorithms."""
    for secret in (KEY.as_pem(private=False), json.dumps(KEY.as_dict(private=False)).encode()):
        for encoding in ("HS256", "HS384", "HS512"):
            body = f"{part({'alg': encoding, 'kid': issuer.key_id})}.{part(claims())}"
            digest = hmac.new(secret, body.encode(), getattr(hashlib, f"sha{encoding[2:]}")).digest()
            signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            with pytest.raises(InvalidToken):
                issuer.verify(f"{body}.{signature}")


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSAKey.generate_key(2048)),
        ("PS256", RSAKey.generate_key(2048)),
        ("HS256", OctKey.generate_key(256)),
        ("ES384", ECKey.generate_key("P-384")),
    ],
)
def test_refuses_every_other_algorithm(issuer: Issuer, algorithm: str, key: Any) -> None:
    header = {"alg": algorithm, "kid": issuer.key_id}
    with pytest.raises(InvalidToken):
        issuer.verify(jwt.encode(header, claims(), key, algorithms=[algorithm]))


def test_refuses_another_key_even_under_our_key_id(issuer: Issuer) -> None:
    with pytest.raises(InvalidToken):
        issuer.verify(sign(claims(), ECKey.generate_key("P-256")))


@pytest.mark.parametrize("kid", ["", "other", "../../etc/passwd", "' OR 1=1 --", None, 5, ["a"]])
def test_refuses_an_unknown_key_id(issuer: Issuer, kid: object) -> None:
    body = f"{part({'alg': 'ES256', 'kid': kid})}.{part(claims())}"
    with pytest.raises(InvalidToken):
        issuer.verify(f"{body}.{sign(claims()).split('.')[2]}")
    if isinstance(kid, str):
        with pytest.raises(InvalidToken, match="unknown key id"):
            issuer.verify(sign(claims(), kid=kid))


def test_refuses_a_key_that_the_token_brings_along(issuer: Issuer) -> None:
    foreign = ECKey.generate_key("P-256")
    for header in ({"jwk": foreign.as_dict(private=False)}, {"jku": "https://evil.example/keys"}):
        with pytest.raises(InvalidToken):
            issuer.verify(sign(claims(), foreign, **header))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_refuses_a_tampered_token(issuer: Issuer, position: int) -> None:
    parts = issue(issuer).split(".")
    other = issue(issuer, role=Role.OWNER).split(".")
    assert position == 0 or parts[position] != other[position]
    middle = len(parts[position]) // 2
    flipped = "A" if parts[position][middle] != "A" else "B"
    parts[position] = parts[position][:middle] + flipped + parts[position][middle + 1 :]
    with pytest.raises(InvalidToken):
        issuer.verify(".".join(parts))


def test_refuses_the_claims_of_another_token(issuer: Issuer) -> None:
    weak, strong = issue(issuer, role=Role.STAFF).split("."), issue(issuer, role=Role.OWNER).split(".")
    with pytest.raises(InvalidToken):
        issuer.verify(".".join([weak[0], strong[1], weak[2]]))


NESTED = "[" * 1_500 + "]" * 1_500


RUBBISH = [
    "", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "\x00.\x00.\x00",
    "x" * (MAX_TOKEN_LENGTH + 1), "." * 5_000, "bnVsbA.bnVsbA.bnVsbA", "NQ.NQ.NQ", "W10.W10.W10",
    f"{base64.urlsafe_b64encode(NESTED.encode()).decode()}.e30.e30",
]  # fmt: skip


@pytest.mark.parametrize("token", RUBBISH, ids=range(len(RUBBISH)))
def test_refuses_rubbish(issuer: Issuer, token: str) -> None:
    with pytest.raises(InvalidToken):
        issuer.verify(token)


@pytest.mark.parametrize("payload", ["null", "5", "[]", '"x"', "{", NESTED, "\ud800"])
def test_refuses_signed_rubbish(issuer: Issuer, payload: str) -> None:
    from joserfc import jws  # noqa: PLC0415

    header = {"alg": "ES256", "kid": issuer.key_id}
    token = jws.serialize_compact(header, payload.encode("utf-8", "surrogatepass"), KEY, algorithms=["ES256"])
    with pytest.raises(InvalidToken):
        issuer.verify(token)


@given(st.text(max_size=200))
def test_an_unreadable_token_is_always_refused_as_invalid(text: str) -> None:
    with pytest.raises(InvalidToken):
        Issuer(KEY).verify(text)
    with pytest.raises(InvalidToken):
        Issuer(KEY).verify(f"{part(text)}.{part(text)}.{part(text)}")


def test_a_generated_key_is_readable_by_its_owner_only(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys" / "issuer.pem"
    previous = os.umask(0)
    try:
        first = Issuer.generate(path, clock=clock)
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
    second = Issuer.from_key_file(path, clock=clock)
    assert second.key_id == first.key_id
    assert second.verify(issue(first)).subject == "user-1"


def test_never_overwrites_a_key(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    Issuer.generate(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        Issuer.generate(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"rubbish", KEY.as_pem(private=False), ECKey.generate_key("P-384").as_pem(private=True)]
)
def test_refuses_a_file_without_a_private_key_of_the_right_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "issuer.pem"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".+"):
        Issuer.from_key_file(path)


def test_two_issuers_do_not_accept_each_other(clock: Clock) -> None:
    first, second = Issuer(KEY, clock=clock), Issuer(ECKey.generate_key("P-256"), clock=clock)
    with pytest.raises(InvalidToken):
        second.verify(issue(first))


OLDER = ECKey.generate_key("P-256")


def test_the_first_key_signs_and_every_key_verifies(clock: Clock) -> None:
    before, between = Issuer(OLDER, clock=clock), Issuer(KEY, older=[OLDER], clock=clock)
    assert between.key_id == KEY.thumbprint()
    assert between.verify(issue(before)).subject == "user-1"
    assert between.verify(issue(between)).subject == "user-1"
    after = Issuer(KEY, clock=clock)
    assert after.verify(issue(between)).subject == "user-1"
    with pytest.raises(InvalidToken, match="unknown key id"):
        after.verify(issue(before))
    assert between.derive_keys("cursors") == [*after.derive_keys("cursors"), *before.derive_keys("cursors")]


@pytest.mark.parametrize("kid", [pytest.param(KEY.thumbprint(), id="the other key"), "", None, 5, ["x"], {"x": 1}])
def test_a_token_names_the_key_that_signed_it(clock: Clock, kid: Any) -> None:
    """A key of ours that did not sign it verifies nothing, and neither does none at all."""
    issuer = Issuer(KEY, older=[OLDER], clock=clock)
    _, payload, _ = issue(Issuer(OLDER, clock=clock)).split(".")
    claims_of = json.loads(base64.urlsafe_b64decode(payload + "=="))
    named = {} if kid is None else {"kid": kid}
    try:
        forged = jwt.encode({"alg": "ES256", **named}, claims_of, OLDER, algorithms=["ES256"])
    except JoseError:  # the library signs no header with such a value
        forged = f"{part({'alg': 'ES256', **named})}.{payload}.{'A' * 86}"
    with pytest.raises(InvalidToken):
        issuer.verify(forged)


def test_a_file_holds_several_keys_one_after_another(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "issuer.pem"
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    path.write_bytes(b"# new\n" + parameters + KEY.as_pem(private=True) + b"# old\n" + OLDER.as_pem(private=True))
    issuer = Issuer.from_key_file(path, clock=clock)
    assert issuer.key_id == KEY.thumbprint()
    assert issuer.verify(issue(Issuer(OLDER, clock=clock))).subject == "user-1"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([KEY, KEY], "a key twice"),
        ([ECKey.generate_key("P-256") for _ in range(11)], "at most 10 keys"),
        ([KEY, ECKey.generate_key("P-384")], "on the curve P-256"),
    ],
)
def test_refuses_keys_that_do_not_belong_together(tmp_path: Path, keys: list[ECKey], said: str) -> None:
    path = tmp_path / "issuer.pem"
    path.write_bytes(b"".join(key.as_pem(private=True) for key in keys))
    with pytest.raises(ValueError, match=said):
        Issuer.from_key_file(path)
