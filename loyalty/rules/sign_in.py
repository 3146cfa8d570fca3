"""Where staff sign in with a browser: the addresses of one provider, and the paths that a sign-in may lead back to."""

import re
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.errors import Problem
from loyalty.rules.ids import TenantId
from loyalty.rules.origins import InvalidOrigin, is_loopback, parse_origin

RETURN_PATH_MAX_LENGTH = 500
"""Characters of the path that a browser goes to after signing in."""

SIGN_IN_PATH = "/sign-in/{tenant:uuid}/{provider:uuid}"
CALLBACK = "/callback"
BACK_CHANNEL = "/back-channel-logout"
SIGN_OUT_PATH = "/sign-out"

_SEGMENT = r"(?!\.{1,2}(?:[/?#]|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+"
_REST = r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*"
_RETURN_PATH = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?(?:\?{_REST})?(?:#{_REST})?", re.ASCII)


class SignInAddress(NamedTuple):
    """The address that browsers call the service by, as an origin: `https://points.example`."""

    origin: str
    is_secure: bool
    """Whether it is https. Else it is an address of the computer itself, for tests and demonstrations."""

    def sign_in_url(self, tenant_id: TenantId, provider_id: UUID) -> str:
        """Where signing in at a provider begins."""
        return f"{self.origin}/sign-in/{tenant_id}/{provider_id}"

    def redirect_uri(self, tenant_id: TenantId, provider_id: UUID) -> str:
        """Where the provider sends the browser back to: one address for each provider."""
        return self.sign_in_url(tenant_id, provider_id) + CALLBACK

    def back_channel_logout_uri(self, tenant_id: TenantId, provider_id: UUID) -> str:
        """Where the provider tells that a person has signed out there."""
        return self.sign_in_url(tenant_id, provider_id) + BACK_CHANNEL


def read_sign_in_address(public_url: str) -> SignInAddress | None:
    """The address of browser sign-in, by the address that clients call.

    None where nobody can sign in safely: without an address, and by plain HTTP over a network.
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
    """Return what is wrong with a path that a browser is sent to, or None.

    It stays at the service. The path has no empty segment, no backslash, no `..` and no percent sign, so neither a
    browser nor a proxy that decodes it once more reads another host in it; query and fragment may hold what URLs hold.
    """
    if len(path) > RETURN_PATH_MAX_LENGTH:
        return Problem(place, f"must have at most {RETURN_PATH_MAX_LENGTH} characters")
    if not _RETURN_PATH.fullmatch(path):
        return Problem(place, "must be a path of this service that begins with one slash, such as /console")
    return None
