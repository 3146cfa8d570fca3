"""Keys of providers: kept, rotated, read again for an unknown one, and never more often than allowed."""

from typing import Any

import pytest
from joserfc.jwk import ECKey

from api.oidc_fetch import MAX_DOCUMENT_BYTES, FetchFailed, fetch_document
from api.oidc_keys import DISCOVERY, FAILURE_SECONDS, KEYS_SECONDS, UNKNOWN_KEY_SECONDS, ProviderKeys
from tests.fixtures.provider import provider_process

ISSUER = "https://login.example"
OLD, NEW = (ECKey.generate_key("P-256", {"kid": name}) for name in ("old", "new"))


class Web:
    """What a provider publishes, with a count of the requests."""

    def __init__(self) -> None:
        self.discovery: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        self.keys: list[Any] = [OLD.as_dict(private=False)]
        self.asked: list[str] = []
        self.is_away = False
        self.now = 0.0

    async def fetch(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        if self.is_away:
            raise FetchFailed("away")
        return self.discovery if url.endswith(DISCOVERY) else {"keys": self.keys}


@pytest.fixture
def web() -> Web:
    """Provide a provider."""
    return Web()


@pytest.fixture
def keys(web: Web) -> ProviderKeys:
    """Provide the keys of the provider."""
    return ProviderKeys(web.fetch, lambda: web.now)


async def test_keys_are_kept_and_read_anew_in_time(web: Web, keys: ProviderKeys) -> None:
    for _ in range(3):
        assert await keys.find(ISSUER, "old", "ES256") is not None
    assert web.asked == [ISSUER + DISCOVERY, f"{ISSUER}/keys"]
    web.now = KEYS_SECONDS
    web.keys = [NEW.as_dict(private=False)]
    assert await keys.find(ISSUER, "old", "ES256") is None
    assert len(web.asked) == 4


async def test_a_new_key_is_found_and_unknown_ones_make_few_requests(web: Web, keys: ProviderKeys) -> None:
    await keys.find(ISSUER, "old", "ES256")
    web.keys.append(NEW.as_dict(private=False))
    assert await keys.find(ISSUER, "new", "ES256") is None
    web.now = UNKNOWN_KEY_SECONDS
    assert await keys.find(ISSUER, "new", "ES256") is not None
    for number in range(1_000):
        assert await keys.find(ISSUER, f"unknown-{number}", "ES256") is None
    assert len(web.asked) == 4


async def test_known_keys_count_while_the_provider_is_away(web: Web, keys: ProviderKeys) -> None:
    await keys.find(ISSUER, "old", "ES256")
    web.is_away, web.now = True, KEYS_SECONDS
    for _ in range(5):
        assert await keys.find(ISSUER, "old", "ES256") is not None
    assert len(web.asked) == 3
    web.now += FAILURE_SECONDS
    await keys.find(ISSUER, "old", "ES256")
    assert len(web.asked) == 4
    web.now = 2 * KEYS_SECONDS + FAILURE_SECONDS
    assert await keys.find(ISSUER, "old", "ES256") is None


@pytest.mark.parametrize(
    "discovery",
    [
        {},
        {"issuer": "https://other.example", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": 1},
    ],
    ids=str,
)
async def test_discovery_must_name_the_same_issuer_and_keys(
    web: Web, keys: ProviderKeys, discovery: dict[str, Any]
) -> None:
    web.discovery = discovery
    assert await keys.find(ISSUER, "old", "ES256") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"alg": "RS256"},
        {"alg": "none"},
        {"key_ops": ["sign"]},
        {"kty": "oct", "k": "AAAA"},
        {"x": "AA"},
        {"kid": 1},
    ],
    ids=str,
)
async def test_a_key_must_be_meant_for_the_signature(web: Web, keys: ProviderKeys, changes: dict[str, Any]) -> None:
    web.keys = [{**OLD.as_dict(private=False), **changes}]
    assert await keys.find(ISSUER, "old", "ES256") is None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://login.example/x",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://10.0.0.1/",
            "https://169.254.169.254/",
        ),
        *("https://localhost/", "https://localhost./", "https://db.internal/", "https://2130706433/", "https://127.1/"),
        *("https://0x7f.1/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://user@login.example/"),
        *(
            "file:///etc/passwd",
            "gopher://login.example/",
            "https:///x",
            "",
            "https://login.example:0/",
            "https://a b/",
        ),
    ],
)
async def test_an_address_that_is_not_public_is_never_called(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *_a, **_k: pytest.fail("called"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: pytest.fail("looked up"))
    with pytest.raises(FetchFailed):
        await fetch_document(url)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "192.168.1.1", "100.64.0.1"]
)
async def test_a_name_that_leads_inside_is_not_called(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when only one of its addresses does."""
    monkeypatch.setattr("socket.create_connection", lambda *_a, **_k: pytest.fail("called"))
    found = [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", (address, 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: found)
    with pytest.raises(FetchFailed):
        await fetch_document("https://login.example/")


async def test_a_document_is_small_json_and_no_redirect(tmp_path: Any) -> None:
    with provider_process(tmp_path) as provider:
        assert await fetch_document(provider.issuer + DISCOVERY, private=True) == {
            "issuer": provider.issuer,
            "jwks_uri": f"{provider.issuer}/keys",
        }
        with pytest.raises(FetchFailed):
            await fetch_document(provider.issuer + "/elsewhere", private=True)
        for body in ("[]", "no JSON", json_of(MAX_DOCUMENT_BYTES)):
            (tmp_path / "discovery.json").write_text(body)
            with pytest.raises(FetchFailed):
                await fetch_document(provider.issuer + DISCOVERY, private=True)


def json_of(size: int) -> str:
    """Return a JSON object that is larger than this."""
    return '{"a": "' + "x" * size + '"}'
