"""Addresses of identity providers: HTTPS, and never inside the network that the service runs in."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from loyalty.rules.errors import Problem

URL_MAX_LENGTH = 255
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"))
"""IPv6 networks whose addresses lead to an IPv4 address (RFC 6052, RFC 8215, RFC 3056)."""


def check_provider_url(
    text: str, path: tuple[str, ...], *, private: bool = False, query: bool = False
) -> Problem | None:
    """Return what is wrong with the address of a provider; None if it is right. With `query` it may have a query.

    `private` allows plain HTTP and addresses that are not public: for tests and demonstrations on one machine.
    """
    schemes = ("https", "http") if private else ("https",)
    parts = split_url(text)
    if parts is None or parts.scheme not in schemes:
        return Problem(path, f"must be an address of up to {URL_MAX_LENGTH} ASCII characters that begins with https://")
    if parts.username is not None or parts.password is not None or "#" in text or ("?" in text and not query):
        return Problem(path, "must have no user, query or fragment")
    if not private and not is_public_host(parts.hostname or ""):
        return Problem(path, "must be a public address")
    return None


def split_url(text: str) -> SplitResult | None:
    """Return the parts of an address; None for a text that is no address."""
    if not text.isascii() or not 1 <= len(text) <= URL_MAX_LENGTH or any(c <= " " or c in '\\"<>\x7f' for c in text):
        return None
    try:
        parts = urlsplit(text)
        found = parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        return None
    return parts if found else None


def is_public_host(host: str) -> bool:
    """Tell whether a host may be public: it is a name with a dot, or a public address.

    The addresses that a name leads to are not checked here.
    """
    address = _address_of(host)
    if address is not None:
        return is_public(address)
    name = host.rstrip(".").lower()
    # Some programs read 127.1 and 0x7f.1 as addresses. So the last label of a public name must be letters only.
    last = name.rpartition(".")[2]
    is_name = "." in name and last.isalpha()
    return is_name and not name.endswith((".localhost", ".local", ".internal"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether everybody could reach an address; private and local addresses are not public.

    A mapped IPv6 address (`::ffff:…`) is judged by the IPv4 address in it. Other IPv6 addresses that lead to an IPv4
    address are not public.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
