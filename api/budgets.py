"""What HTTP answers say of a caller's budget: `RateLimit`, `RateLimit-Policy`, and `Retry-After` where it is used up.

The names and parameters are those of draft-ietf-httpapi-ratelimit-headers since its eighth version: `q` is the quota,
`w` the seconds in which all of it comes back, `qu` its unit, `r` what is left, `t` the seconds until all of it is back.
"""

from starlette.datastructures import MutableHeaders

from loyalty.rules.budget import Charge

POLICY = "points"
"""The name of the only policy: points that operations cost."""


def tell_budget(headers: MutableHeaders, charge: Charge) -> None:
    """Write what a caller may still spend into the headers of an answer."""
    points, per_second = charge.limits
    headers["ratelimit-policy"] = f'"{POLICY}";q={points};w={-(-points // per_second)};qu="points"'
    headers["ratelimit"] = f'"{POLICY}";r={charge.left};t={charge.full_after}'
    if charge.retry_after is not None:
        headers["retry-after"] = str(charge.retry_after)
