"""Refusals that only purchases have."""

from typing import ClassVar

from loyalty.rules.errors import Refused
from loyalty.rules.money import Money


class PurchaseNotReassignable(Refused):
    """The purchase cannot move to another customer any more; `obstacle` says why (see `rules/reassignment.py`)."""

    code: ClassVar[str] = "PURCHASE_NOT_REASSIGNABLE"

    def __init__(self, obstacle: str, sentence: str, path: tuple[str, ...] = ("purchase",)) -> None:
        super().__init__(sentence, path)
        self.obstacle = obstacle


class ReportBelowRefunds(Refused):
    """A report makes a purchase, or one of its lines, smaller than what was refunded of it."""

    code: ClassVar[str] = "REPORT_BELOW_REFUNDS"

    def __init__(self, refunded: Money, missing: str, path: tuple[str, ...]) -> None:
        super().__init__(
            f"{refunded} of this purchase were refunded, and {missing}. Report the purchase as it was before its "
            "refunds; to pay back more, call purchaseRefund.",
            path,
        )
        self.refunded_amount = refunded


class PaymentsExceedTotal(Refused):
    """What is told and known to have paid for a purchase is more than its total."""

    code: ClassVar[str] = "PAYMENTS_EXCEED_TOTAL"

    def __init__(self, total: Money, paid: Money, path: tuple[str, ...] = ("payments",)) -> None:
        super().__init__(
            f"The total is {total}, and payments of {paid} are known with this report: those it tells, those told "
            "before, and what points and gift cards pay. Send all payments as they are now.",
            path,
        )
        self.total_amount = total
        self.paid_amount = paid


class PaymentOfAnotherPurchase(Refused):
    """The hold or redemption that a payment names is not one of this purchase, or of no purchase at all."""

    code: ClassVar[str] = "PAYMENT_OF_ANOTHER_PURCHASE"

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__("The hold or redemption that this payment names does not pay for this purchase.", path)


class StatusRunsBackwards(Refused):
    """The purchase has gone further than the reported status, or the report is late and tells nothing new (`is_late`).

    Nothing is recorded.
    """

    code: ClassVar[str] = "STATUS_RUNS_BACKWARDS"

    def __init__(
        self, current: str, requested: str, path: tuple[str, ...] = ("status",), *, is_late: bool = False
    ) -> None:
        if is_late:
            sentence = (
                f"The purchase is {current} by a newer report, and this older one tells nothing that is not known."
            )
        else:
            sentence = f"The purchase is {current} and cannot become {requested}."
        super().__init__(sentence, path)
        # The API shows each of both under two names: the shorter ones are deprecated.
        self.current = self.current_status = current
        self.requested = self.requested_status = requested


class AmbiguousReport(Refused):
    """The report returns to an earlier state: a late retry, or something new; `send` names the fields that can tell."""

    code: ClassVar[str] = "AMBIGUOUS_REPORT"
    send: ClassVar[tuple[str, ...]] = ("occurred_at", "idempotency_key")

    def __init__(self, current: str, path: tuple[str, ...] = ("status",)) -> None:
        super().__init__(
            f"The purchase was so before and is {current} now. Send occurredAt, or an idempotencyKey of this report, "
            "so that it can be told from a late retry.",
            path,
        )
        self.current_status = current
