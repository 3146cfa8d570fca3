from datetime import UTC, datetime

import pytest

from loyalty.rules.errors import (
    AboveMaximum,
    ActiveHolds,
    AmbiguousCustomer,
    BelowMinimum,
    Conflict,
    CurrencyMismatch,
    CustomerIsArchived,
    DuplicateMinimum,
    DuplicateName,
    FeatureDisabled,
    HoldEnded,
    IdempotencyConflict,
    IdentifierTaken,
    InsufficientPoints,
    InvalidInput,
    LimitReached,
    LoyaltyError,
    NotASandbox,
    NotEntitled,
    NotFound,
    NothingToDiscount,
    OpeningBalanceExists,
    PermissionDenied,
    Problem,
    PurchaseEnded,
    PurchaseOfAnotherCustomer,
    RedemptionDisabled,
    RefundExceedsPurchase,
    Refused,
    ReturnExceedsRedemption,
    TenantClosed,
    TenantSuspended,
    VersionConflict,
    refuse_problems,
)
from loyalty.rules.features import DependencyRequired, Feature, IncompatibleFeature
from loyalty.rules.gift_card_errors import (
    GiftCardAbovePurchase,
    GiftCardBalanceTooLow,
    GiftCardCodeMistake,
    GiftCardCodeMistyped,
    GiftCardEnded,
    GiftCardHasOwner,
    GiftCardInUse,
    GiftCardProductObstacle,
    GiftCardProductUnavailable,
    ReturnExceedsSpending,
    TooManyWrongCodes,
)
from loyalty.rules.money import Money
from loyalty.rules.purchase_errors import (
    AmbiguousReport,
    PaymentOfAnotherPurchase,
    PaymentsExceedTotal,
    PurchaseNotReassignable,
    ReportBelowRefunds,
    StatusRunsBackwards,
)
from loyalty.rules.team_errors import AdjustmentLimitReached, AlreadyMember, LastOwner, RoleInUse

REFUSALS = {
    *("loyalty.rules.errors", "loyalty.rules.gift_card_errors", "loyalty.rules.purchase_errors"),
    *("loyalty.rules.team_errors", "loyalty.rules.features"),
}
"""The modules that hold refusals; tests make others of their own."""

TEN, NINE = Money(1_000, "EUR"), Money(900, "EUR")

EVERY_ERROR = [
    (GiftCardEnded("EXPIRED"), "GIFT_CARD_ENDED", ("gift_card",)),
    (GiftCardBalanceTooLow(NINE, TEN), "GIFT_CARD_BALANCE_TOO_LOW", ("amount",)),
    (GiftCardAbovePurchase(TEN, NINE, TEN), "GIFT_CARD_ABOVE_PURCHASE", ("amount",)),
    (GiftCardInUse(NINE, TEN), "GIFT_CARD_IN_USE", ("gift_card",)),
    (ReturnExceedsSpending(NINE, TEN), "RETURN_EXCEEDS_SPENDING", ("amount",)),
    (NotFound("customer", ("by", "id")), "NOT_FOUND", ("by", "id")),
    (InvalidInput.one("award", "points", reason="must be positive"), "INVALID_INPUT", ("award", "points")),
    (IdempotencyConflict("key-1"), "IDEMPOTENCY_CONFLICT", ("idempotency_key",)),
    (VersionConflict(3, 4), "VERSION_CONFLICT", ("expected_version",)),
    (DuplicateName("Gold"), "DUPLICATE_NAME", ("name",)),
    (DuplicateMinimum(500), "DUPLICATE_MINIMUM", ("min_points",)),
    (PurchaseOfAnotherCustomer(), "PURCHASE_OF_ANOTHER_CUSTOMER", ("customer",)),
    (InsufficientPoints(available=5, required=7), "INSUFFICIENT_POINTS", ("points",)),
    (RedemptionDisabled(), "REDEMPTION_DISABLED", ()),
    (BelowMinimum("balance", required=100, actual=99), "BELOW_MINIMUM", ("points",)),
    (AboveMaximum(maximum=100, requested=101), "ABOVE_MAXIMUM", ("points",)),
    (NothingToDiscount(), "NOTHING_TO_DISCOUNT", ("subtotal",)),
    (HoldEnded("RELEASED"), "HOLD_ENDED", ("hold",)),
    (PurchaseEnded("CANCELLED"), "PURCHASE_ENDED", ("purchase",)),
    (PurchaseNotReassignable("POINTS_USED", "It cannot move."), "PURCHASE_NOT_REASSIGNABLE", ("purchase",)),
    (ReturnExceedsRedemption(returnable=1, requested=2), "RETURN_EXCEEDS_REDEMPTION", ("points",)),
    (PaymentsExceedTotal(Money(1_000, "EUR"), Money(1_100, "EUR")), "PAYMENTS_EXCEED_TOTAL", ("payments",)),
    (PaymentOfAnotherPurchase(("payments", "0")), "PAYMENT_OF_ANOTHER_PURCHASE", ("payments", "0")),
    (ReportBelowRefunds(Money(1_000, "EUR"), "a line", ("lines",)), "REPORT_BELOW_REFUNDS", ("lines",)),
    (RefundExceedsPurchase(Money(1_000, "EUR"), Money(1_100, "EUR")), "REFUND_EXCEEDS_PURCHASE", ("amount",)),
    (NotASandbox(), "NOT_A_SANDBOX", ()),
    (IdentifierTaken("CARD", "1", None), "IDENTIFIER_TAKEN", ("identifiers",)),
    (ActiveHolds(5), "ACTIVE_HOLDS", ("source",)),
    (CustomerIsArchived(datetime(2026, 3, 4, 12, tzinfo=UTC)), "CUSTOMER_IS_ARCHIVED", ("customer",)),
    (OpeningBalanceExists(100), "OPENING_BALANCE_EXISTS", ("customer",)),
    (LimitReached("earning rules", 500), "LIMIT_REACHED", ()),
    (StatusRunsBackwards("PAID", "CREATED"), "STATUS_RUNS_BACKWARDS", ("status",)),
    (AmbiguousReport("PAID"), "AMBIGUOUS_REPORT", ("status",)),
    (CurrencyMismatch("EUR", "USD", ("total", "currency")), "CURRENCY_MISMATCH", ("total", "currency")),
    (AmbiguousCustomer([], ("customer", "email")), "AMBIGUOUS_CUSTOMER", ("customer", "email")),
    (
        GiftCardProductUnavailable(GiftCardProductObstacle.SOLD_OUT),
        "GIFT_CARD_PRODUCT_UNAVAILABLE",
        ("product",),
    ),
    (GiftCardHasOwner(), "GIFT_CARD_HAS_OWNER", ("code",)),
    (TooManyWrongCodes(datetime(2026, 7, 1, tzinfo=UTC)), "TOO_MANY_WRONG_CODES", ("code",)),
    (GiftCardCodeMistyped(GiftCardCodeMistake.LENGTH, "It is short."), "GIFT_CARD_CODE_MISTYPED", ("code",)),
    (DependencyRequired(Feature.COUPONS, Feature.LOYALTY), "DEPENDENCY_REQUIRED", ("feature",)),
    (IncompatibleFeature(Feature.CLEAR_HISTORY, Feature.LOYALTY), "INCOMPATIBLE_FEATURE", ("feature",)),
    (AlreadyMember(), "ALREADY_MEMBER", ("person",)),
    (LastOwner(), "LAST_OWNER", ("id",)),
    (RoleInUse(2, 1), "ROLE_IN_USE", ("id",)),
    (AdjustmentLimitReached(500, 1, 2, datetime(2026, 7, 1, tzinfo=UTC)), "ADJUSTMENT_LIMIT_REACHED", ("points",)),
    (PermissionDenied("LOYALTY_MANAGE"), "FORBIDDEN", ()),
    (TenantSuspended(), "TENANT_SUSPENDED", ()),
    (TenantClosed(), "TENANT_CLOSED", ()),
    (NotEntitled("loyalty"), "NOT_ENTITLED", ()),
    (FeatureDisabled("loyalty"), "FEATURE_DISABLED", ()),
]


@pytest.mark.parametrize(("error", "code", "path"), EVERY_ERROR)
def test_every_refusal_has_a_code_a_sentence_and_a_path(error: LoyaltyError, code: str, path: tuple[str, ...]) -> None:
    assert (error.code, error.path) == (code, path)
    passes = isinstance(error, TooManyWrongCodes | AdjustmentLimitReached)
    assert error.transient is passes, "only these pass without a change"
    assert error.message
    assert str(error) == error.message


def test_codes_are_unique() -> None:
    codes = [code for _, code, _ in EVERY_ERROR]
    assert len(set(codes)) == len(codes)


def test_the_table_has_every_refusal() -> None:
    def leaves(kind: type[LoyaltyError]) -> set[type[LoyaltyError]]:
        below = kind.__subclasses__()
        return set().union(*(leaves(child) for child in below)) if below else {kind}

    of_rules = {kind for kind in leaves(LoyaltyError) if kind.__module__ in REFUSALS}
    assert of_rules == {type(error) for error, _, _ in EVERY_ERROR}


def test_refusals_keep_their_numbers() -> None:
    short = InsufficientPoints(available=5, required=7)
    assert (short.available, short.required) == (5, 7)
    assert isinstance(short, Refused)
    conflict = VersionConflict(3, 4)
    assert (conflict.expected, conflict.actual) == (3, 4)
    assert isinstance(conflict, Conflict)


def test_invalid_input_lists_every_problem() -> None:
    error = InvalidInput([Problem(("name",), "must not be blank"), Problem((), "is empty")])
    assert error.path == ("name",)
    assert error.message == "name: must not be blank; input: is empty"


def test_refuses_problems_only_when_there_are_some() -> None:
    refuse_problems([None, None])
    with pytest.raises(InvalidInput) as refusal:
        refuse_problems([None, Problem(("points",), "must be positive")])
    assert refusal.value.problems == (Problem(("points",), "must be positive"),)
