"""Networks from which a credential may be used, in CIDR form, and checks of addresses against them."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from loyalty.rules.errors import Problem

MAX_NETWORKS = 20
NETWORK_MAX_LENGTH = 43
"""Characters: the longest IPv6 address, and its prefix length."""


def read_networks(texts: Sequence[str], path: tuple[str, ...]) -> tuple[str, ...] | Problem:
    """Return the networks in stored form, each once; or the first problem.

    Each is an address with a prefix length (RFC 4632, RFC 4291), such as `203.0.113.0/24`; a single address needs none.
    """
    if not 1 <= len(texts) <= MAX_NETWORKS:
        return Problem(path, f"must name 1 to {MAX_NETWORKS} networks; null allows every network")
    found: dict[str, None] = {}
    for index, text in enumerate(texts):
        network = _network_of(text)
        if network is None:
            return Problem((*path, str(index)), "must be a network in CIDR form without host bits, as 203.0.113.0/24")
        found[str(network)] = None
    return tuple(found)


def is_within(address: str | None, networks: Sequence[str]) -> bool:
    """Tell whether an address lies in one of the networks. A text that is no address lies in none."""
    place = _address_of(address)
    return place is not None and any(_holds(network, place) for network in networks)


def are_within(networks: Sequence[str], wider: Sequence[str]) -> bool:
    """Tell whether each network lies in one of the wider networks."""
    return all(any(_is_part(network, other) for other in wider) for network in networks)


def _network_of(text: str) -> IPv4Network | IPv6Network | None:
    """Return the network that a text means; None for a text that is no network in CIDR form."""
    if len(text) > NETWORK_MAX_LENGTH or not text.isascii() or "%" in text:
        return None
    try:
        network = ip_network(text)
    except ValueError:
        return None
    # An IPv4 network in IPv6 form would match no caller: addresses of callers are turned into IPv4 first.
    return None if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped else network


def _address_of(text: str | None) -> IPv4Address | IPv6Address | None:
    """Return the address that a text means, IPv4 if it is an IPv4 address in IPv6 form; None for any other text."""
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _holds(network: str, address: IPv4Address | IPv6Address) -> bool:
    return address in ip_network(network)


def _is_part(network: str, other: str) -> bool:
    """Tell whether a network lies in another one of the same IP version."""
    inner, outer = ip_network(network), ip_network(other)
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer)
