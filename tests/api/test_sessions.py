"""Cookies of a browser sign-in: their names and attributes, and how long and where what they hold counts."""

import datetime as dt
import uuid

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response

from api.pending_sign_in import MAX_PENDING_LENGTH, PENDING_KIND, PendingSignIn, PendingSignIns, SignInPlace
from api.sessions import SESSION_KIND, CookieJar
from loyalty.rules.ids import TenantId
from loyalty.rules.sign_in import SignInAddress, read_sign_in_address
from loyalty.rules.staff_session import SIGN_IN_SECONDS

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
PLACE = SignInPlace(TenantId(uuid.UUID(int=1)), uuid.UUID(int=2))
PENDING = PendingSignIn({"_state_sign_in_x": {"data": {"nonce": "n", "code_verifier": "v"}, "exp": 1.0}}, "/console")


def jar_at(public_url: str) -> CookieJar:
    """Return how cookies are kept at an address."""
    address = read_sign_in_address(public_url)
    assert isinstance(address, SignInAddress)
    return CookieJar(address)


def test_cookies_over_https_are_of_this_host_alone() -> None:
    jar, response = jar_at("https://points.example"), Response()
    jar.set(response, SESSION_KIND, "value", dt.timedelta(hours=8))
    jar.delete(response, PENDING_KIND)
    kept, deleted = response.headers.getlist("set-cookie")
    name, *attributes = kept.split("; ")
    assert name == "__Host-treue_session=value"
    assert set(attributes) == {"HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=28800"}
    assert deleted.startswith('__Host-treue_sign_in="";')
    assert "Max-Age=0" in deleted


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (["__Host-treue_session=a"], "a"),
        (["x=1; __Host-treue_session=a; y=2"], "a"),
        (["x=1", "__Host-treue_session=a=b"], "a=b"),
        (["treue_session=a"], None),
        (["__Host-treue_session=a; __Host-treue_session=b"], None),
        (["__Host-treue_session=a", "__Host-treue_session=a"], None),
        (["__host-treue_session=a"], None),
        (["__Host-treue_session=a; x=" + "x" * 20_000], None),
        ([], None),
    ],
)
def test_a_cookie_is_found_by_its_whole_name_and_once(sent: list[str], found: str | None) -> None:
    headers = Headers(raw=[(b"cookie", one.encode()) for one in sent])
    assert jar_at("https://points.example").find(headers, SESSION_KIND) == found


def test_a_sign_in_continues_in_time_and_at_its_provider_only() -> None:
    begun = PendingSignIns([b"k" * 32])
    value = begun.seal(PLACE, PENDING, NOW)
    assert "code_verifier" not in value
    last = NOW + dt.timedelta(seconds=SIGN_IN_SECONDS - 1)
    assert [begun.open(PLACE, value, at) for at in (NOW, last)] == [PENDING, PENDING]
    assert begun.open(PLACE, value, NOW + dt.timedelta(seconds=SIGN_IN_SECONDS)) is None
    for place in (PLACE._replace(provider_id=uuid.UUID(int=3)), PLACE._replace(tenant_id=TenantId(uuid.UUID(int=3)))):
        assert begun.open(place, value, NOW) is None
    assert PendingSignIns([b"o" * 32]).open(PLACE, value, NOW) is None
    assert PendingSignIns([b"o" * 32, b"k" * 32]).open(PLACE, value, NOW) == PENDING
    for text in ("", "x", "ä", value[:-2], value + "AAAA", "x" * (MAX_PENDING_LENGTH + 1)):
        assert begun.open(PLACE, text, NOW) is None
    with pytest.raises(ValueError, match="too long"):
        begun.seal(PLACE, PENDING._replace(return_path="/" + "x" * MAX_PENDING_LENGTH), NOW)
