"""Show refusals to clients: each error of the rules has its own type with the interface UserError.

Only this module maps them. A test reads the tree of errors and fails for an error without a type here.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import strawberry
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules import errors as refusals
from loyalty.rules import purchase_errors as purchase_refusals
from loyalty.rules.errors import FeatureDisabled, LoyaltyError, NotEntitled, PermissionDenied, TenantNotActive
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.reassignment import ReassignmentObstacle
from loyalty.rules.redemption import HoldState
from schema.feature_errors import FEATURE_DETAILS
from schema.fields import replaced_by
from schema.gift_card_errors import GIFT_CARD_DETAILS
from schema.scalars import CurrencyCode, Points
from schema.team_errors import TEAM_DETAILS
from schema.types.money import Money
from schema.types.node import node_id
from schema.user_error import UserError, UserErrorCode

T = TypeVar("T")


@strawberry.type(description="There is no such thing; another tenant's is answered the same way.")
class NotFound(UserError):
    """Shows ``loyalty.rules.errors.NotFound``."""


@strawberry.type(description="A field holds a value that is not allowed; there is one of these for each wrong field.")
class InvalidInput(UserError):
    reason: str = strawberry.field(description="What is allowed.")


@strawberry.type(description="The idempotency key was used before with another input; nothing happened this time.")
class IdempotencyConflict(UserError):
    """Shows ``loyalty.rules.errors.IdempotencyConflict``."""


@strawberry.type(description="Somebody else changed it since the caller read it: read again, decide again.")
class VersionConflict(UserError):
    expected_version: int = strawberry.field(description="The version the caller expected.")
    stored_version: int = strawberry.field(description="The version that is stored.")
    expected: int = strawberry.field(
        description="The version the caller expected.", deprecation_reason=replaced_by("expectedVersion")
    )
    actual: int = strawberry.field(
        description="The version that is stored.", deprecation_reason=replaced_by("storedVersion")
    )


@strawberry.type(description="The name is taken by another one of the same kind.")
class DuplicateName(UserError):
    name: str = strawberry.field(description="The name that is taken.")


@strawberry.type(description="Another tier begins at the same number of points.")
class DuplicateMinimum(UserError):
    min_points: Points = strawberry.field(description="The minimum that is taken.")


@strawberry.type(
    description="The purchase belongs to another customer: it is recorded for another, or another's points pay for it."
)
class PurchaseOfAnotherCustomer(UserError):
    """Shows ``loyalty.rules.errors.PurchaseOfAnotherCustomer``."""


@strawberry.type(
    description="The purchase has gone further than the reported status, or the report is late and tells nothing new. "
    "Nothing was recorded."
)
class StatusRunsBackwards(UserError):
    current_status: PurchaseStatus = strawberry.field(description="The status that is recorded.")
    requested_status: PurchaseStatus = strawberry.field(description="The status that was reported.")
    current: str = strawberry.field(
        description="The status that is recorded, as a text.", deprecation_reason=replaced_by("currentStatus")
    )
    requested: str = strawberry.field(
        description="The status that was reported, as a text.", deprecation_reason=replaced_by("requestedStatus")
    )


@strawberry.type(
    description="The report returns to an earlier state of the purchase: it may be a late retry, or something new. "
    "Nothing was recorded; send it again with one of the fields in `send`."
)
class AmbiguousReport(UserError):
    current_status: PurchaseStatus = strawberry.field(description="The status that is recorded.")
    send: list[str] = strawberry.field(description="The fields that can tell, each by itself.")


@strawberry.type(
    description="What a report tells, what was told before, and what points and gift cards pay is more than the total."
)
class PaymentsExceedTotal(UserError):
    total_amount: Money = strawberry.field(description="The total of the purchase with this report.")
    paid_amount: Money = strawberry.field(description="The sum of all payments.")


@strawberry.type(
    description="The hold or redemption that a payment names pays for another purchase, or for none, or does not exist."
)
class PaymentOfAnotherPurchase(UserError):
    """Shows ``loyalty.rules.purchase_errors.PaymentOfAnotherPurchase``."""


@strawberry.type(description="Fewer points are available than the request takes.")
class InsufficientPoints(UserError):
    available: Points = strawberry.field(description="How many points are available.")
    required: Points = strawberry.field(description="How many points the request takes.")


@strawberry.type(description="The program does not let customers spend points at a checkout.")
class RedemptionDisabled(UserError):
    """Shows ``loyalty.rules.errors.RedemptionDisabled``."""


@strawberry.type(description="The points are fewer than the program's minimum.")
class BelowMinimum(UserError):
    what: str = strawberry.field(description="`balance`, which must be held, or `points`, which must be used at once.")
    required: Points = strawberry.field(description="The minimum, in points.")
    actual: Points = strawberry.field(description="The points that can be spent or used, or that were asked for.")


@strawberry.type(description="More points than may be used at this checkout.")
class AboveMaximum(UserError):
    maximum: Points = strawberry.field(description="How many points may be used.")
    requested: Points = strawberry.field(description="How many points were asked for.")


@strawberry.type(description="The total is 0, or so small that points can take nothing off it.")
class NothingToDiscount(UserError):
    """Shows ``loyalty.rules.errors.NothingToDiscount``."""


@strawberry.type(description="The hold has ended already, in another way than is asked for; it ends once.")
class HoldEnded(UserError):
    state: HoldState = strawberry.field(description="The state in which the hold has ended.")


@strawberry.type(description="The purchase was called off or refunded: neither points nor gift cards can pay for it.")
class PurchaseEnded(UserError):
    status: PurchaseStatus = strawberry.field(description="The status of the purchase.")


@strawberry.type(description="The purchase cannot move to another customer any more.")
class PurchaseNotReassignable(UserError):
    obstacle: ReassignmentObstacle = strawberry.field(description="What stands in the way.")


@strawberry.type(description="More points than are left of the redemption to give back.")
class ReturnExceedsRedemption(UserError):
    returnable: Points = strawberry.field(description="How many points can still be given back.")
    requested: Points = strawberry.field(description="How many points were asked for.")


@strawberry.type(description="More is to be refunded than is left of the purchase, or of one of its lines.")
class RefundExceedsPurchase(UserError):
    refundable_amount: Money = strawberry.field(description="The amount that can still be refunded.")
    requested_amount: Money = strawberry.field(description="The amount that was asked for.")
    refundable: str = strawberry.field(
        description="What can still be refunded, as a text such as `10.00 EUR`.",
        deprecation_reason=replaced_by("refundableAmount"),
    )
    requested: str = strawberry.field(
        description="The amount that was asked for, as a text.", deprecation_reason=replaced_by("requestedAmount")
    )


@strawberry.type(
    description="A report makes a purchase, or one of its lines, smaller than what was refunded of it. "
    "`Purchase.total` and its lines are those before refunds."
)
class ReportBelowRefunds(UserError):
    refunded_amount: Money = strawberry.field(description="What was refunded so far: the least that the total can be.")


@strawberry.type(description="Only a sandbox can advance its clock.")
class NotASandbox(UserError):
    """Shows ``loyalty.rules.errors.NotASandbox``."""


@strawberry.type(description="Points of the customer are set aside at a checkout; try again when they are not.")
class ActiveHolds(UserError):
    held: Points = strawberry.field(description="How many points are set aside.")


@strawberry.type(
    description="The customer is archived and has no access; bring the customer back with `customerUnarchive` first."
)
class CustomerIsArchived(UserError):
    archived_at: datetime = strawberry.field(description="When the customer was archived.")


@strawberry.type(description="The customer brought other points along before; there is one opening balance for each.")
class OpeningBalanceExists(UserError):
    points: Points = strawberry.field(description="The points of the opening balance that exists.")


@strawberry.type(description="The request would pass a limit of the service.")
class LimitReached(UserError):
    what: str = strawberry.field(description="The thing that is limited.")
    limit: Points = strawberry.field(description="How many there may be.")


@strawberry.type(description="The amount is in another currency than the program counts in; nothing is converted.")
class CurrencyMismatch(UserError):
    expected_currency: CurrencyCode = strawberry.field(description="The program's currency.")
    actual_currency: CurrencyCode = strawberry.field(description="The currency of the amount.")


@strawberry.type(description="One of several customers whom a look-up may mean.")
class CustomerCandidate:
    external_id: str = strawberry.field(description="The id in the caller's own system.")
    full_name: str = strawberry.field(description="Empty when it was never told.")

    id: strawberry.ID = node_id("Customer")


@strawberry.type(description="Several customers fit the look-up; none was chosen. Name one by id or external id.")
class AmbiguousCustomer(UserError):
    candidates: list[CustomerCandidate] = strawberry.field(
        description="The customers whom the look-up may mean, at most 10."
    )


@strawberry.type(description="Another customer has this card number or other identifier; take it from them first.")
class IdentifierTaken(UserError):
    identifier_type: str = strawberry.field(description="What kind of number it is.")
    value: str = strawberry.field(description="The number or text, as it was told.")
    owner: CustomerCandidate | None = strawberry.field(
        description="The customer who has the identifier; null for an actor who may not read customers."
    )


_DETAILS: Mapping[type[LoyaltyError], tuple[type[UserError], tuple[str, ...]]] = {
    refusals.NotFound: (NotFound, ()),
    refusals.IdempotencyConflict: (IdempotencyConflict, ()),
    refusals.VersionConflict: (VersionConflict, ("expected_version", "stored_version", "expected", "actual")),
    refusals.DuplicateName: (DuplicateName, ("name",)),
    refusals.DuplicateMinimum: (DuplicateMinimum, ("min_points",)),
    refusals.PurchaseOfAnotherCustomer: (PurchaseOfAnotherCustomer, ()),
    purchase_refusals.StatusRunsBackwards: (
        StatusRunsBackwards,
        ("current_status", "requested_status", "current", "requested"),
    ),
    purchase_refusals.AmbiguousReport: (AmbiguousReport, ("current_status", "send")),
    purchase_refusals.PaymentsExceedTotal: (PaymentsExceedTotal, ("total_amount", "paid_amount")),
    purchase_refusals.PaymentOfAnotherPurchase: (PaymentOfAnotherPurchase, ()),
    refusals.InsufficientPoints: (InsufficientPoints, ("available", "required")),
    refusals.RedemptionDisabled: (RedemptionDisabled, ()),
    refusals.BelowMinimum: (BelowMinimum, ("what", "required", "actual")),
    refusals.AboveMaximum: (AboveMaximum, ("maximum", "requested")),
    refusals.NothingToDiscount: (NothingToDiscount, ()),
    refusals.HoldEnded: (HoldEnded, ("state",)),
    refusals.PurchaseEnded: (PurchaseEnded, ("status",)),
    purchase_refusals.PurchaseNotReassignable: (PurchaseNotReassignable, ("obstacle",)),
    refusals.ReturnExceedsRedemption: (ReturnExceedsRedemption, ("returnable", "requested")),
    refusals.RefundExceedsPurchase: (
        RefundExceedsPurchase,
        ("refundable_amount", "requested_amount", "refundable", "requested"),
    ),
    purchase_refusals.ReportBelowRefunds: (ReportBelowRefunds, ("refunded_amount",)),
    refusals.NotASandbox: (NotASandbox, ()),
    refusals.ActiveHolds: (ActiveHolds, ("held",)),
    refusals.CustomerIsArchived: (CustomerIsArchived, ("archived_at",)),
    refusals.OpeningBalanceExists: (OpeningBalanceExists, ("points",)),
    refusals.LimitReached: (LimitReached, ("what", "limit")),
    refusals.AmbiguousCustomer: (AmbiguousCustomer, ("candidates",)),
    refusals.IdentifierTaken: (IdentifierTaken, ("identifier_type", "value", "owner")),
    refusals.CurrencyMismatch: (CurrencyMismatch, ("expected_currency", "actual_currency")),
    **GIFT_CARD_DETAILS,
    **TEAM_DETAILS,
    **FEATURE_DETAILS,
}

USER_ERROR_TYPES: tuple[type[UserError], ...] = (InvalidInput, *(shown for shown, _ in _DETAILS.values()))


shown_refusals: Counter[str] = Counter()
"""How often each refusal was shown in ``userErrors`` since the process started, by its code, for metrics."""


def user_errors(refusal: LoyaltyError) -> list[UserError]:
    """Return a refusal as entries of ``userErrors``. Wrong input has one entry for each wrong field."""
    shown_refusals[refusal.code] += 1
    if isinstance(refusal, refusals.InvalidInput):
        return [
            InvalidInput(
                code=UserErrorCode(refusal.code),
                message=f"{'.'.join(_path(path)) or 'input'} {reason}.",
                path=_path(path),
                reason=reason,
            )
            for path, reason in refusal.problems
        ]
    shown, details = _DETAILS[type(refusal)]
    return [
        shown(
            code=UserErrorCode(refusal.code),
            message=refusal.message,
            path=_path(refusal.path),
            **{name: _show_detail(getattr(refusal, name)) for name in details},
        ),
    ]


async def answer_mutation(payload: Callable[..., T], work: Callable[[], Awaitable[Mapping[str, Any]]]) -> T:
    """Run a mutation's work and build its payload. A refusal becomes ``userErrors``, and the other fields become null.

    A missing permission or a disabled feature is no user error: it is an error of the whole operation.
    """
    try:
        return payload(**await work(), user_errors=[])
    except (PermissionDenied, FeatureDisabled, NotEntitled, TenantNotActive):
        raise
    except LoyaltyError as refusal:
        return payload(user_errors=user_errors(refusal))


def _show_detail(detail: Any) -> Any:
    """Return a detail for clients: names of fields in the spelling of the API."""
    return _path(detail) if type(detail) is tuple else detail


def _path(path: tuple[str, ...]) -> list[str]:
    return [to_camel_case(part) for part in path]
