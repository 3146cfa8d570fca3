"""Origins of browser pages: their form, and the list of origins that a tenant allows.

An origin is scheme, host and port (RFC 6454). Browsers send it in small letters, without the default port of the
scheme. `http://localhost:*` is the only pattern: every port, on the computer of the person who looks at the page.
"""

import ipaddress
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from loyalty.rules.errors import Problem

MAX_ALLOWED_ORIGINS = 100
"""The most origins that one tenant may allow."""

MAX_ORIGIN_LENGTH = 300
"""The most characters of an origin: a host name has at most 253."""

SHOWN_LENGTH = 80
"""The most characters of a wrong origin that a refusal or a log line repeats."""

DEFAULT_PORTS = {"http": 80, "https": 443}
APP_SCHEMES = ("capacitor", "ionic", "tauri")
"""The schemes of pages that are part of an app on a phone or computer."""

SCHEMES = (*DEFAULT_PORTS, *APP_SCHEMES)
SHOWN_SCHEMES = ", ".join(f"{scheme}://" for scheme in SCHEMES)
ANY_PORT = "*"
LOOPBACK_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")
"""The origins that a tenant allows so that its developers can test a page on their computers."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAX_PORT = 65_535
_SENT = re.compile(r"[\x21-\x7e]+", re.ASCII)


class InvalidOrigin(ValueError):
    """A text that is no origin. The message says what is allowed."""


class Origin(NamedTuple):
    """An origin as browsers write it. ``port`` is empty for the port of the scheme, or `*` for every port."""

    scheme: str
    host: str
    port: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}" if self.port else f"{self.scheme}://{self.host}"


def parse_origin(text: str) -> Origin:
    """Return an origin from the text of a tenant. Large letters and a default port are corrected, nothing else.

    Raises `InvalidOrigin`.
    """
    if len(text) > MAX_ORIGIN_LENGTH:
        raise InvalidOrigin(f"must have at most {MAX_ORIGIN_LENGTH} characters")
    if text == "*":
        raise InvalidOrigin("must name one origin; * would let every page call")
    if not _SENT.fullmatch(text):
        raise InvalidOrigin("must be an origin in ASCII such as https://salon.example (xn--… for other letters)")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES:
        raise InvalidOrigin(f"must begin with a scheme: one of {SHOWN_SCHEMES}")
    if "@" in rest:
        raise InvalidOrigin("must not hold a user name")
    if any(sign in rest for sign in "/?#\\"):
        raise InvalidOrigin("must end after the host or port, without a path or a slash")
    host, port = _split_port(rest.lower())
    origin = Origin(scheme, _check_host(host), _check_port(port, scheme))
    if origin.port == ANY_PORT and not is_loopback(origin):
        raise InvalidOrigin("must name its port; :* is for localhost, 127.0.0.1 and [::1] only")
    return origin


def read_sent_origin(text: str) -> Origin | None:
    """Return the origin from the header of a request; None for `null` and for texts that no browser sends."""
    try:
        origin = parse_origin(text)
    except InvalidOrigin:
        return None
    return None if origin.port == ANY_PORT else origin


def is_loopback(origin: Origin) -> bool:
    """Tell whether the page comes from the computer of the person who looks at it."""
    if origin.host == "localhost" or origin.host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(origin.host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_allowed(origin: Origin, allowed: Collection[str]) -> bool:
    """Tell whether a page of this origin may call. ``allowed`` has origins in the form of `str(Origin)`."""
    if str(origin) in allowed:
        return True
    return is_loopback(origin) and str(origin._replace(port=ANY_PORT)) in allowed


def is_of_service(origin: Origin, host: str | None) -> bool:
    """Tell whether a page comes from the service itself, by the request's `Host`.

    The scheme is not compared: a proxy may end TLS before us.
    """
    try:
        parts = urlsplit(f"//{(host or '').strip()}")
        port, name = parts.port, parts.hostname
    except ValueError:
        return False
    default = DEFAULT_PORTS.get(origin.scheme)
    sent_port = int(origin.port) if origin.port else default
    return name == origin.host.strip("[]") and (port or default) == sent_port


def check_origins(texts: Sequence[str], path: tuple[str, ...]) -> tuple[list[str], list[Problem]]:
    """Return the origins in stored form, and the problems of the others.

    The origins are in the order given, each once. The path of a problem is ``path`` and the place in ``texts``.
    """
    problems: list[Problem] = []
    if len(texts) > MAX_ALLOWED_ORIGINS:
        return [], [Problem(path, f"must have at most {MAX_ALLOWED_ORIGINS} origins")]
    kept: dict[str, int] = {}
    for index, text in enumerate(texts):
        place = (*path, str(index))
        try:
            origin = str(parse_origin(text))
        except InvalidOrigin as wrong:
            problems.append(Problem(place, f"{wrong}; this is {text[:SHOWN_LENGTH]!r}"))
            continue
        if origin in kept:
            problems.append(Problem(place, f"must not repeat entry {kept[origin]}, {origin}"))
        kept.setdefault(origin, index)
    return list(kept), problems


def _split_port(rest: str) -> tuple[str, str | None]:
    """Split a text behind `://` into host and port. The port is None if there is no colon. Raises InvalidOrigin."""
    if rest.startswith("["):
        host, bracket, after = rest.partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise InvalidOrigin("must have a host: a name, an IPv4 address, or an IPv6 address in brackets")
        return host + bracket, after[1:] if after else None
    host, colon, port = rest.partition(":")
    return host, port if colon else None


def _check_host(host: str) -> str:
    """Return a host in its usual form. Raises InvalidOrigin."""
    if "*" in host:
        raise InvalidOrigin("must name its host; a wildcard would let pages of others call")
    if host.startswith("[") and "%" not in host:
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1])}]"
        except ValueError:
            raise InvalidOrigin("must have a valid IPv6 address in its brackets") from None
    if not _HOST_NAME.fullmatch(host):
        raise InvalidOrigin("must have a host: a name, an IPv4 address, or an IPv6 address in brackets")
    if host.rpartition(".")[2].isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise InvalidOrigin("must have a valid IPv4 address, or the name of a host") from None
    return host


def _check_port(port: str | None, scheme: str) -> str:
    """Return a port in its usual form: empty for the port of the scheme, `*` for every port. Raises InvalidOrigin."""
    if port is None or port == ANY_PORT:
        return port or ""
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= _MAX_PORT:
        raise InvalidOrigin(f"must have a port from 1 to {_MAX_PORT}")
    return "" if int(port) == DEFAULT_PORTS.get(scheme) else str(int(port))
