"""Write budgets into answers: `extensions.cost`, in the form that clients of Shopify's API read, and refusals."""

from graphql import GraphQLError

from loyalty.rules.budget import Charge
from schema.masking import ErrorCode, refusal

BUDGET_USED_UP = "BUDGET_USED_UP"
"""`extensions.reason` of the error for an operation that costs more than the budget has left."""


def report_cost(charge: Charge) -> dict[str, object]:
    """Return `extensions.cost` of an operation.

    `actualQueryCost` is the cost that was taken: the whole cost, or null for a refused operation.
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
    """Return the error for an operation that costs more than the budget has left; None if it may run."""
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
