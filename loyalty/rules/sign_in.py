"""Sign-in of staff with a browser: the addresses for one provider, and the paths that a sign-in may return to."""

import re
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.errors import Problem
from loyalty.rules.ids import TenantId
from loyalty.rules.origins import InvalidOrigin, is_loopback, parse_origin

RETURN_PATH_MAX_LENGTH = 500
"""The most characters of the path that a browser goes to after signing in."""

SIGN_IN_PATH = "/sign-in/{tenant:uuid}/{provider:uuid}"
CALLBACK = "/callback"
BACK_CHANNEL = "/back-channel-logout"
SIGN_OUT_PATH = "/sign-out"

_SEGMENT = r"(?!\.{1,2}(?:[/?#]|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+"
_REST = r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*"
_RETURN_PATH = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?(?:\?{_REST})?(?:#{_REST})?", re.ASCII)


class SignInAddress(NamedTuple):
    """The public address of the service for browsers, as an origin: `https://points.example`."""

    origin: str
    is_secure: bool
    """Whether the address is https. Else it is an address of the computer itself, for tests and demonstrations."""

    def sign_in_url(self, tenant_id: TenantId, provider_id: UUID) -> str:
        """Return the address at which signing in with a provider begins."""
        return f"{self.origin}/sign-in/{tenant_id}/{provider_id}"

    def redirect_uri(self, tenant_id: TenantId, provider_id: UUID) -> str:
        """Return the address to which the provider sends the browser back: one for each provider."""
        return self.sign_in_url(tenant_id, provider_id) + CALLBACK

    def back_channel_logout_uri(self, tenant_id: TenantId, provider_id: UUID) -> str:
        """Return the address at which the provider reports that a person has signed out there."""
        return self.sign_in_url(tenant_id, provider_id) + BACK_CHANNEL


def read_sign_in_address(public_url: str) -> SignInAddress | None:
    """Return the address for browser sign-in, from the public address of the service.

    None if nobody can sign in safely: without an address, and with plain HTTP over a network.
    """
    try:
        origin = parse_origin(public_url.rstrip("/"))
    except InvalidOrigin:
        return None
    is_secure = origin.scheme == "https"
    if not is_secure and not (origin.scheme == "http" and is_loopback(origin)):
        return None
    return SignInAddress(str(origin), is_secure)


def check_return_path(path: str, place: tuple[str, ...]) -> Problem | None:
    """Return what is wrong with a path that a browser is sent to; None if it is right.

    The path must stay at the service. It has no empty segment, no backslash, no `..` and no percent sign, so neither a
    browser nor a proxy that decodes it again reads another host in it. Query and fragment may hold what URLs hold.
    """
    if len(path) > RETURN_PATH_MAX_LENGTH:
        return Problem(place, f"must have at most {RETURN_PATH_MAX_LENGTH} characters")
    if not _RETURN_PATH.fullmatch(path):
        return Problem(place, "must be a path of this service that begins with one slash, such as /console")
    return None
