"""The caller's address: the connection's own, or what trusted proxies say of it, and never what anybody else says."""

from typing import Any

import pytest

from api.peers import MAX_HOPS, find_peer

PROXIES = ("10.0.0.0/8", "fd00::/8")


def scope(client: str | None, *forwarded: str) -> Any:
    """Return a request over a connection from an address, with X-Forwarded-For headers."""
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return {"type": "http", "client": None if client is None else (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "peer"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "nonsense"),
        ("10.0.0.1", ["198.51.100.1,"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1" + ", 10.0.0.2" * MAX_HOPS], "10.0.0.2"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_who_calls(client: str | None, forwarded: list[str], peer: str | None) -> None:
    assert find_peer(scope(client, *forwarded), PROXIES) == peer


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert find_peer(scope("10.0.0.1", "198.51.100.1"), ()) == "10.0.0.1"
