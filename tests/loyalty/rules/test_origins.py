import pytest

from loyalty.rules.origins import (
    MAX_ALLOWED_ORIGINS,
    InvalidOrigin,
    check_origins,
    is_allowed,
    is_of_service,
    parse_origin,
    read_sent_origin,
)

KEPT = {
    "https://salon.example": "https://salon.example",
    "HTTPS://Salon.Example:443": "https://salon.example",
    "http://salon.example:80": "http://salon.example",
    "https://salon.example:08443": "https://salon.example:8443",
    "http://salon.example:443": "http://salon.example:443",
    "https://xn--mnchen-3ya.example": "https://xn--mnchen-3ya.example",
    "http://192.168.0.10:3000": "http://192.168.0.10:3000",
    "https://[2001:DB8:0::1]:8443": "https://[2001:db8::1]:8443",
    "http://localhost:*": "http://localhost:*",
    "http://app.localhost:*": "http://app.localhost:*",
    "https://127.0.0.1:*": "https://127.0.0.1:*",
    "http://[::1]:*": "http://[::1]:*",
    "capacitor://localhost": "capacitor://localhost",
    "tauri://localhost": "tauri://localhost",
}

REFUSED = {
    "*": "every page",
    "": "ASCII",
    "null": "scheme",
    "salon.example": "scheme",
    "//salon.example": "scheme",
    "ftp://salon.example": "scheme",
    "file:///index.html": "scheme",
    "javascript://x": "scheme",
    "https://": "must have a host",
    "https://:443": "must have a host",
    "https://salon.example/": "path",
    "https://salon.example/app": "path",
    "https://salon.example?x=1": "path",
    "https://salon.example#top": "path",
    "https://salon.example\\@evil.example": "user name",
    "https://mara@salon.example": "user name",
    "https://*.salon.example": "wildcard",
    "https://*": "wildcard",
    "https://salon.example:*": "port",
    "https://localhost.evil.example:*": "port",
    "https://salon.example:": "port",
    "https://salon.example:0": "port",
    "https://salon.example:65536": "port",
    "https://salon.example:+80": "port",
    "https://salon.example:80:80": "port",
    "https://salon..example": "host",
    "https://-salon.example": "host",
    "https://salon_.example": "host",
    "https://1.2.3.256": "IPv4",
    "https://1.2.3": "IPv4",
    "https://[::1": "host",
    "https://[::1]x": "host",
    "https://[::1%25eth0]": "host",
    "https://[salon]": "IPv6",
    "https://münchen.example": "ASCII",
    "https://salon.example ": "ASCII",
    "https://salon.example\r\nx-evil: 1": "ASCII",
    "https://" + "a" * 300: "characters",
    "https://" + ".".join(["a" * 63] * 4) + ".aa": "host",
}


@pytest.mark.parametrize(("text", "kept"), KEPT.items())
def test_keeps_an_origin_as_browsers_write_it(text: str, kept: str) -> None:
    assert str(parse_origin(text)) == kept
    assert str(parse_origin(kept)) == kept


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_refuses_what_is_no_origin_and_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InvalidOrigin, match=reason):
        parse_origin(text)
    _, (problem,) = check_origins(["https://salon.example", text], ("origins",))
    assert problem.path == ("origins", "1")
    assert reason in problem.reason


@pytest.mark.parametrize("sent", ["null", "", "*", "http://localhost:*", "file://", "https://salon.example/"])
def test_no_page_sends_what_cannot_be_allowed(sent: str) -> None:
    assert read_sent_origin(sent) is None


def test_refuses_an_origin_twice_and_too_many() -> None:
    kept, (problem,) = check_origins(["https://salon.example", "https://SALON.example:443"], ("origins",))
    assert kept == ["https://salon.example"]
    assert (problem.path, problem.reason) == (("origins", "1"), "must not repeat entry 0, https://salon.example")
    many = [f"https://salon-{number}.example" for number in range(MAX_ALLOWED_ORIGINS + 1)]
    assert check_origins(many[1:], ("origins",)) == (many[1:], [])
    assert check_origins(many, ("origins",))[1][0].path == ("origins",)


@pytest.mark.parametrize(
    ("sent", "allowed", "may"),
    [
        ("https://salon.example", "https://salon.example", True),
        ("http://salon.example", "https://salon.example", False),
        ("https://salon.example:8443", "https://salon.example", False),
        ("https://app.salon.example", "https://salon.example", False),
        ("https://salon.example.evil.example", "https://salon.example", False),
        ("http://localhost:5173", "http://localhost:*", True),
        ("http://localhost", "http://localhost:*", True),
        ("https://localhost:5173", "http://localhost:*", False),
        ("http://127.0.0.1:5173", "http://localhost:*", False),
        ("http://[::1]:5173", "http://[::1]:*", True),
        ("http://localhost:5173", "http://localhost:3000", False),
    ],
)
def test_only_the_very_origin_is_allowed(sent: str, allowed: str, *, may: bool) -> None:
    origin = read_sent_origin(sent)
    assert origin is not None
    assert is_allowed(origin, [allowed]) is may


@pytest.mark.parametrize(
    ("sent", "host", "same"),
    [
        ("https://points.example", "points.example", True),
        ("https://points.example", "points.example:443", True),
        ("https://points.example", "POINTS.example", True),
        ("http://127.0.0.1:8321", "127.0.0.1:8321", True),
        ("http://[::1]:8321", "[::1]:8321", True),
        ("http://127.0.0.1:3000", "127.0.0.1:8321", False),
        ("https://points.example", "points.example:8321", False),
        ("https://evil.example", "points.example", False),
        ("https://points.example", None, False),
        ("https://points.example", "", False),
        ("https://points.example", "points.example:x", False),
        ("https://points.example", "[points", False),
    ],
)
def test_a_page_of_the_service_itself_is_known_by_the_host(sent: str, host: str | None, *, same: bool) -> None:
    origin = read_sent_origin(sent)
    assert origin is not None
    assert is_of_service(origin, host) is same
