"""What HTTP answers say of a caller's budget: `RateLimit`, `RateLimit-Policy`, and `Retry-After` where it is used up.

The names and parameters are those of draft-ietf-httpapi-ratelimit-headers since its eighth version: `q` is the quota,
`w` the seconds in which all of it comes back, `qu` its unit, `r` what is left, `t` the seconds until all of it is back.
"""

from functools import lru_cache

from starlette.datastructures import MutableHeaders

from loyalty.rules.budget import BudgetLimits, Charge

POLICY = "points"
"""The name of the only policy: points that operations cost."""

MAX_KEPT_POLICIES = 256
"""Texts of policies that are kept after they were made."""


def tell_budget(headers: MutableHeaders, charge: Charge) -> None:
    """Write what a caller may still spend into the headers of an answer."""
    # Appended: an answer has none of them yet, and setting a header looks through all of them.
    headers.append("ratelimit-policy", _describe_policy(charge.limits))
    headers.append("ratelimit", f'"{POLICY}";r={charge.left};t={charge.full_after}')
    if charge.retry_after is not None:
        headers["retry-after"] = str(charge.retry_after)


@lru_cache(MAX_KEPT_POLICIES)
def _describe_policy(limits: BudgetLimits) -> str:
    points, per_second = limits
    return f'"{POLICY}";q={points};w={-(-points // per_second)};qu="points"'
