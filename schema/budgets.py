"""What answers say of budgets: `extensions.cost`, in the shape that clients of Shopify's API read, and refusals."""

from graphql import GraphQLError

from loyalty.rules.budget import Charge
from schema.masking import ErrorCode, refusal

BUDGET_USED_UP = "BUDGET_USED_UP"
"""`extensions.reason` of the error for an operation that costs more than is left."""


def report_cost(charge: Charge) -> dict[str, object]:
    """What `extensions.cost` says of an operation.

    `actualQueryCost` is what was taken: all of it, and null for an operation that was refused.
    """
    return {
        "requestedQueryCost": charge.cost,
        "actualQueryCost": charge.cost if charge.retry_after is None else None,
        "throttleStatus": {
            "maximumAvailable": charge.limits.points,
            "currentlyAvailable": charge.left,
            "restoreRate": charge.limits.per_second,
        },
    }


def refuse_charge(charge: Charge) -> GraphQLError | None:
    """The error for an operation that costs more than is left; None where it may run."""
    if charge.retry_after is None:
        return None
    return refusal(
        ErrorCode.RATE_LIMITED,
        f"The operation costs {charge.cost} points, and {charge.left} of {charge.limits.points} are left. "
        f"{charge.limits.per_second} come back each second: try again after {charge.retry_after} seconds, "
        "or ask for less.",
        reason=BUDGET_USED_UP,
        retryAfter=charge.retry_after,
        retryAfterSeconds=charge.retry_after,
    )
