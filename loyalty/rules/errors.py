"""Every refusal that a caller can act on, as a tree of classes. Any other exception is a bug.

The errors know neither HTTP nor GraphQL. Paths name fields in Python's spelling (`min_points`); the edge translates. A
refusal changes nothing: the code that raises one has not written anything, or rolls it back.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from loyalty.rules.ids import CustomerId

if TYPE_CHECKING:
    from datetime import datetime

    from loyalty.rules.money import Money


class Problem(NamedTuple):
    """A problem of one field: its path in the input, and the end of a sentence that says what is allowed."""

    path: tuple[str, ...]
    reason: str


class LoyaltyError(Exception):
    """A refusal with a stable `code` for programs and a `message` for people.

    `path` names the input field that caused it, empty when no single field did. `transient` tells whether the same call
    may succeed later without being changed.
    """

    code: ClassVar[str] = "LOYALTY_ERROR"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class NotFound(LoyaltyError):
    """It does not exist, or not for this caller: the two cannot be told apart from outside."""

    code: ClassVar[str] = "NOT_FOUND"

    def __init__(self, what: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(f"There is no such {what}.", path)
        self.what = what


class InvalidInput(LoyaltyError):
    """One or more fields hold values that are not allowed; `problems` lists all of them, in the order of the checks."""

    code: ClassVar[str] = "INVALID_INPUT"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        sentences = "; ".join(f"{'.'.join(path) or 'input'}: {reason}" for path, reason in self.problems)
        super().__init__(sentences or "The input is not valid.", self.problems[0].path if self.problems else ())

    @classmethod
    def one(cls, *path: str, reason: str) -> Self:
        """Build the error for a single field."""
        return cls((Problem(path, reason),))


def refuse_problems(problems: Sequence[Problem | None]) -> None:
    """Raise InvalidInput if at least one check found a problem. A None stands for a check that passed."""
    found = [problem for problem in problems if problem is not None]
    if found:
        raise InvalidInput(found)


class Conflict(LoyaltyError):
    """The request contradicts something that is already stored."""

    code: ClassVar[str] = "CONFLICT"


class IdempotencyConflict(Conflict):
    """The idempotency key was used before with another input; nothing happened this time."""

    code: ClassVar[str] = "IDEMPOTENCY_CONFLICT"

    def __init__(self, key: str, path: tuple[str, ...] = ("idempotency_key",)) -> None:
        super().__init__(f"This {path[-1].replace('_', ' ')} was used before with another input.", path)
        self.key = key


class VersionConflict(Conflict):
    """Somebody else changed it since the caller read it: read again, decide again."""

    code: ClassVar[str] = "VERSION_CONFLICT"

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"Version {expected} was expected, but version {actual} is stored.", ("expected_version",))
        self.expected = self.expected_version = expected
        self.actual = self.stored_version = actual


class DuplicateName(Conflict):
    """The name is taken by another one of the same kind in this program."""

    code: ClassVar[str] = "DUPLICATE_NAME"

    def __init__(self, name: str, path: tuple[str, ...] = ("name",)) -> None:
        super().__init__(f"The name {name!r} is taken.", path)
        self.name = name


class DuplicateMinimum(Conflict):
    """Another tier begins at the same number of points, so neither would be the higher one."""

    code: ClassVar[str] = "DUPLICATE_MINIMUM"

    def __init__(self, min_points: int, path: tuple[str, ...] = ("min_points",)) -> None:
        super().__init__(f"Another tier begins at {min_points} points.", path)
        self.min_points = min_points


class PurchaseOfAnotherCustomer(Conflict):
    """The purchase belongs to somebody else: it is recorded for another customer, or another's points pay for it."""

    code: ClassVar[str] = "PURCHASE_OF_ANOTHER_CUSTOMER"

    def __init__(self, path: tuple[str, ...] = ("customer",)) -> None:
        super().__init__("This purchase belongs to another customer.", path)


class CustomerCandidate(NamedTuple):
    """One of several customers whom a look-up may mean."""

    id: CustomerId
    external_id: str
    full_name: str


class AmbiguousCustomer(Conflict):
    """Several customers have what the caller named somebody by, so nobody is chosen: name one by id or external id."""

    code: ClassVar[str] = "AMBIGUOUS_CUSTOMER"

    def __init__(self, candidates: Sequence[CustomerCandidate], path: tuple[str, ...] = ("customer",)) -> None:
        super().__init__("Several customers have it: name the one you mean by id or externalId.", path)
        self.candidates = list(candidates)


class IdentifierTaken(Conflict):
    """Another customer has this identifier; `owner` is told to who may read customers only."""

    code: ClassVar[str] = "IDENTIFIER_TAKEN"

    def __init__(
        self,
        identifier_type: str,
        value: str,
        owner: CustomerCandidate | None,
        path: tuple[str, ...] = ("identifiers",),
    ) -> None:
        super().__init__(f"Another customer has this {identifier_type}.", path)
        self.identifier_type = identifier_type
        self.value = value
        self.owner = owner


class Refused(LoyaltyError):
    """The input is well formed, but the rules of the program do not allow it now."""

    code: ClassVar[str] = "REFUSED"


class InsufficientPoints(Refused):
    """Fewer points are available than the request takes."""

    code: ClassVar[str] = "INSUFFICIENT_POINTS"

    def __init__(self, available: int, required: int, path: tuple[str, ...] = ("points",)) -> None:
        super().__init__(f"{required} points are required, {available} are available.", path)
        self.available = available
        self.required = required


class RedemptionDisabled(Refused):
    """The program does not let customers spend points at a checkout."""

    code: ClassVar[str] = "REDEMPTION_DISABLED"

    def __init__(self) -> None:
        super().__init__("Points cannot be redeemed in this program.")


class BelowMinimum(Refused):
    """Fewer than the program's minimum: of the balance that must be held, or of the points that must be used."""

    code: ClassVar[str] = "BELOW_MINIMUM"

    def __init__(self, what: str, required: int, actual: int, path: tuple[str, ...] = ("points",)) -> None:
        super().__init__(f"The {what} must be at least {required} points, not {actual}.", path)
        self.what = what
        self.required = required
        self.actual = actual


class AboveMaximum(Refused):
    """More points than may be used at this checkout."""

    code: ClassVar[str] = "ABOVE_MAXIMUM"

    def __init__(self, maximum: int, requested: int, path: tuple[str, ...] = ("points",)) -> None:
        super().__init__(f"At most {maximum} points may be used here, not {requested}.", path)
        self.maximum = maximum
        self.requested = requested


class NothingToDiscount(Refused):
    """There is nothing that points could take off: the total is 0, or so small that not one minor unit may go."""

    code: ClassVar[str] = "NOTHING_TO_DISCOUNT"

    def __init__(self, path: tuple[str, ...] = ("subtotal",)) -> None:
        super().__init__("There is nothing to take off this total.", path)


class HoldEnded(Refused):
    """The hold has ended already, in another way than is asked for; it ends once."""

    code: ClassVar[str] = "HOLD_ENDED"

    def __init__(self, state: str, path: tuple[str, ...] = ("hold",)) -> None:
        super().__init__(f"The hold is {state} already.", path)
        self.state = state


class PurchaseEnded(Refused):
    """The purchase was called off or refunded: points can pay for it no more."""

    code: ClassVar[str] = "PURCHASE_ENDED"

    def __init__(self, status: str, path: tuple[str, ...] = ("purchase",)) -> None:
        super().__init__(f"The purchase is {status}; points cannot pay for it.", path)
        self.status = status


class ReturnExceedsRedemption(Refused):
    """More points than are left of the redemption to give back."""

    code: ClassVar[str] = "RETURN_EXCEEDS_REDEMPTION"

    def __init__(self, returnable: int, requested: int, path: tuple[str, ...] = ("points",)) -> None:
        super().__init__(f"{returnable} points can still be given back, not {requested}.", path)
        self.returnable = returnable
        self.requested = requested


class RefundExceedsPurchase(Refused):
    """More is to be refunded than is left of the purchase, or of one of its lines."""

    code: ClassVar[str] = "REFUND_EXCEEDS_PURCHASE"

    def __init__(self, refundable: "Money", requested: "Money", path: tuple[str, ...] = ("amount",)) -> None:
        super().__init__(f"{refundable} can still be refunded, not {requested}.", path)
        self.refundable_amount = refundable
        self.requested_amount = requested
        self.refundable = str(refundable)
        self.requested = str(requested)


class NotASandbox(Refused):
    """The clock of a live tenant is everybody's: only a sandbox can advance its own."""

    code: ClassVar[str] = "NOT_A_SANDBOX"

    def __init__(self) -> None:
        super().__init__("Only a sandbox can advance its clock.")


class ActiveHolds(Refused):
    """Points of the customer are set aside at a checkout; what is to happen has to wait until they are not."""

    code: ClassVar[str] = "ACTIVE_HOLDS"

    def __init__(self, held: int, path: tuple[str, ...] = ("source",)) -> None:
        super().__init__(f"{held} points are set aside at a checkout.", path)
        self.held = held


class CustomerIsArchived(Refused):
    """The customer is archived, and an archived customer has no access: bring the customer back first."""

    code: ClassVar[str] = "CUSTOMER_IS_ARCHIVED"

    def __init__(self, archived_at: "datetime", path: tuple[str, ...] = ("customer",)) -> None:
        super().__init__("This customer is archived; bring the customer back with customerUnarchive first.", path)
        self.archived_at = archived_at


class OpeningBalanceExists(Conflict):
    """The customer brought other points along before; there is one opening balance for each."""

    code: ClassVar[str] = "OPENING_BALANCE_EXISTS"

    def __init__(self, points: int, path: tuple[str, ...] = ("customer",)) -> None:
        super().__init__(f"This customer has an opening balance of {points} points already.", path)
        self.points = points


class LimitReached(Refused):
    """One more would pass a limit of the service."""

    code: ClassVar[str] = "LIMIT_REACHED"

    def __init__(self, what: str, limit: int, path: tuple[str, ...] = ()) -> None:
        super().__init__(f"The limit of {limit} {what} is reached.", path)
        self.what = what
        self.limit = limit


class CurrencyMismatch(Refused):
    """The amount is in another currency than the program counts in; nothing is converted silently."""

    code: ClassVar[str] = "CURRENCY_MISMATCH"

    def __init__(self, expected: str, actual: str, path: tuple[str, ...] = ("currency",), *, hint: str = "") -> None:
        super().__init__(f"The amount must be in {expected}, not in {actual}{hint and ', '}{hint}.", path)
        self.expected_currency = expected
        self.actual_currency = actual


class PermissionDenied(LoyaltyError):
    """The caller lacks a permission; the permission is named, what it would have shown is not."""

    code: ClassVar[str] = "FORBIDDEN"

    def __init__(self, permission: str, message: str | None = None) -> None:
        super().__init__(message or f"The permission {permission} is missing.")
        self.permission = permission


class TenantNotActive(LoyaltyError):
    """No credential of the tenant is let in."""


class TenantSuspended(TenantNotActive):
    """All credentials of the tenant are refused until an operator resumes it."""

    code: ClassVar[str] = "TENANT_SUSPENDED"

    def __init__(self) -> None:
        super().__init__("This tenant is suspended. Its credentials are refused until it is resumed.")


class TenantClosed(TenantNotActive):
    """All credentials of the tenant are refused for good. What it held is kept."""

    code: ClassVar[str] = "TENANT_CLOSED"

    def __init__(self) -> None:
        super().__init__("This tenant is closed. Its credentials are refused for good.")


class NotEntitled(LoyaltyError):
    """The platform does not grant the feature to this tenant, which therefore cannot switch it on."""

    code: ClassVar[str] = "NOT_ENTITLED"

    def __init__(self, feature: str) -> None:
        super().__init__(f"The platform does not grant the feature {feature} to this tenant.")
        self.feature = feature


class FeatureDisabled(LoyaltyError):
    """The feature is switched off for this tenant."""

    code: ClassVar[str] = "FEATURE_DISABLED"

    def __init__(self, feature: str) -> None:
        super().__init__(f"The feature {feature} is switched off.")
        self.feature = feature
