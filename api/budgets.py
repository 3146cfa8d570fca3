"""HTTP headers about a caller's budget: `RateLimit`, `RateLimit-Policy`, and `Retry-After` if the budget is used up.

Names and parameters follow draft-ietf-httpapi-ratelimit-headers, since its eighth version. `q` is the quota, `w` the
seconds in which all of it comes back, and `qu` its unit. `r` is what is left, and `t` the seconds until all of it is
back.
"""

from functools import lru_cache

from starlette.datastructures import MutableHeaders

from loyalty.rules.budget import BudgetLimits, Charge

POLICY = "points"
"""The name of the only policy: points that operations cost."""

MAX_KEPT_POLICIES = 256
"""The number of texts of policies that are cached."""


def tell_budget(headers: MutableHeaders, charge: Charge) -> None:
    """Write the rest of a caller's budget into the headers of an answer."""
    # Appended, not set: an answer has neither header yet, and setting a header first searches all headers.
    headers.append("ratelimit-policy", _describe_policy(charge.limits))
    headers.append("ratelimit", f'"{POLICY}";r={charge.left};t={charge.full_after}')
    if charge.retry_after is not None:
        headers["retry-after"] = str(charge.retry_after)


@lru_cache(MAX_KEPT_POLICIES)
def _describe_policy(limits: BudgetLimits) -> str:
    points, per_second = limits
    return f'"{POLICY}";q={points};w={-(-points // per_second)};qu="points"'
