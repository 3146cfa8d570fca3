"""Convert a report in another currency than the program's, by the rate of the report or of the purchase.

The first rate of a purchase is frozen. Later reports in that currency may leave it out; another rate is refused.
"""

from collections.abc import Sequence
from dataclasses import replace

from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import CurrencyMismatch, InvalidInput
from loyalty.rules.exchange import Exchange, convert_minor, format_rate
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money, Ratio
from loyalty.rules.payments import Payment
from loyalty.rules.purchase import PurchaseLine
from loyalty.rules.purchase_report import PurchaseReport


def convert_report(report: PurchaseReport, currency: str, known: Exchange | None) -> PurchaseReport:
    """Return the report in the program's currency. `known` is the exchange of the purchase so far.

    Each amount is rounded to the nearest minor unit by itself. Raises CurrencyMismatch if a rate is needed and unknown.
    Raises InvalidInput for a rate without an amount to convert, a rate that differs from the known one, and an amount
    that becomes too large.
    """
    source = report.currency
    if source is None or source == currency:
        _refuse_idle_rate(report, known)
        return report
    rate = _choose_rate(report, source, currency, known)
    changes: dict[str, object] = {"line_currency": currency}
    if report.total is not ABSENT:
        total_minor = _convert_amount(report.total.amount_minor, rate, source, currency, ("total", "amount"))
        changes["total"] = Money(total_minor, currency)
        changes["exchange"] = Exchange(source, rate, report.total.amount_minor)
    if report.lines is not ABSENT:
        changes["lines"] = tuple(
            _convert_line(line, rate, source, currency, position) for position, line in enumerate(report.lines)
        )
    if report.payments is not ABSENT:
        changes["payments"] = _convert_payments(report.payments, rate, source, currency)
    return replace(report, **changes)  # type: ignore[arg-type]


def _choose_rate(report: PurchaseReport, source: str, currency: str, known: Exchange | None) -> Ratio:
    """Return the rate for a report: the frozen rate of the purchase, else the rate that the report tells.

    Raises InvalidInput for another rate than the frozen one, and CurrencyMismatch if there is no rate.
    """
    frozen = known.rate if known is not None and known.currency == source else None
    if frozen is not None and report.exchange_rate not in (None, frozen):
        reason = f"must stay {format_rate(frozen)}, the rate that the purchase was recorded with"
        raise InvalidInput.one("exchange_rate", reason=reason)
    rate = frozen or report.exchange_rate
    if rate is None:
        path = _find_first_amount(report)
        raise CurrencyMismatch(currency, source, (*path, "currency"), hint="or send exchangeRate")
    return rate


def _find_first_amount(report: PurchaseReport) -> tuple[str, ...]:
    """Return the path of the amount that gives a report its currency."""
    if report.total is not ABSENT:
        return ("total",)
    return ("lines", "0", "unit_price") if report.lines not in (ABSENT, ()) else ("payments", "0", "amount")


def _refuse_idle_rate(report: PurchaseReport, known: Exchange | None) -> None:
    """Refuse a rate without an amount to convert, unless it repeats the known rate or is 1."""
    if report.exchange_rate is None or (known is None and report.exchange_rate == Ratio(1, 1)):
        return
    if report.currency is None and known is not None and known.rate == report.exchange_rate:
        return
    raise InvalidInput.one("exchange_rate", reason="has no amount in another currency to convert")


def _convert_line(line: PurchaseLine, rate: Ratio, source: str, currency: str, position: int) -> PurchaseLine:
    """Return a line with its amounts converted.

    Rounding never makes the discount above the price or the tax above the amount.
    """
    path = ("lines", str(position), "unit_price", "amount")
    converted = replace(
        line,
        unit_price_minor=_convert_amount(line.unit_price_minor, rate, source, currency, path),
        discount_minor=0,
        tax_minor=0,
    )
    if converted.price_minor > MAX_AMOUNT_MINOR:
        raise InvalidInput.one(*path, reason="is too large in the program's currency")
    discount_minor = convert_minor(line.discount_minor, rate, source, currency)
    converted = replace(converted, discount_minor=min(discount_minor, converted.price_minor))
    tax_minor = convert_minor(line.tax_minor, rate, source, currency)
    return replace(converted, tax_minor=min(tax_minor, converted.amount_minor))


def _convert_payments(payments: Sequence[Payment], rate: Ratio, source: str, currency: str) -> tuple[Payment, ...]:
    """Return payments with their amounts converted.

    Their sum is the converted sum, so rounding never makes it larger.
    """
    converted, told_minor, so_far_minor = [], 0, 0
    for position, payment in enumerate(payments):
        told_minor += payment.amount_minor
        reached_minor = _convert_amount(told_minor, rate, source, currency, ("payments", str(position), "amount"))
        converted.append(replace(payment, amount_minor=reached_minor - so_far_minor))
        so_far_minor = reached_minor
    return tuple(converted)


def _convert_amount(amount_minor: int, rate: Ratio, source: str, currency: str, path: tuple[str, ...]) -> int:
    """Convert an amount from the currency `source`. Raises InvalidInput at `path` if it becomes too large."""
    converted = convert_minor(amount_minor, rate, source, currency)
    if converted > MAX_AMOUNT_MINOR:
        raise InvalidInput.one(*path, reason="is too large in the program's currency")
    return converted
