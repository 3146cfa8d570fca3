"""A report about a purchase carries only what was sent; here it is applied to what is known.

A field that is absent stays as it is known, None takes it away, a value sets it; lines are replaced whole. A report
that came about before the newest one (`occurred_at`) fills in only what no newer report has told.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self

from loyalty.rules.absent import ABSENT, Given
from loyalty.rules.errors import InvalidInput, Problem
from loyalty.rules.exchange import Exchange
from loyalty.rules.money import Money, Ratio
from loyalty.rules.payments import Payment
from loyalty.rules.purchase import PURCHASE_MAX_LINES, PurchaseFacts, PurchaseKind, PurchaseLine, validate_facts
from loyalty.rules.purchase_lines import align_lines

MAX_AHEAD = timedelta(hours=1)
"""How far `occurred_at` may lie beyond our clock: callers' clocks are not all right."""

TOLD_FIELDS = ("total", "lines", "location", "staff", "booked_at", "starts_at", "ends_at", "payments")
"""The facts that a report may tell or leave out."""


@dataclass(frozen=True, slots=True)
class PurchaseReport:
    """What one report tells about a purchase. A field that is ABSENT was not sent; `total` cannot be taken away.

    `occurred_at` is when what is reported came about in the caller's system. `line_currency` is that of the amounts of
    its lines and payments. `exchange_rate` is what one unit of that currency is worth in the program's; once it has
    converted the report, `exchange` says how the total was told.
    """

    kind: PurchaseKind
    external_id: str
    total: Given[Money] = ABSENT
    lines: Given[tuple[PurchaseLine, ...]] = ABSENT
    location: Given[str | None] = ABSENT
    staff: Given[str | None] = ABSENT
    booked_at: Given[datetime | None] = ABSENT
    starts_at: Given[datetime | None] = ABSENT
    ends_at: Given[datetime | None] = ABSENT
    payments: Given[tuple[Payment, ...]] = ABSENT
    occurred_at: datetime | None = None
    line_currency: str | None = None
    exchange_rate: Ratio | None = None
    exchange: Exchange | None = None

    @classmethod
    def of(cls, facts: PurchaseFacts) -> Self:
        """Return the report that tells all these facts; what is None among them, and no lines at all, is left out."""
        told = {name: value for name in TOLD_FIELDS if (value := getattr(facts, name)) is not None and value != ()}
        return cls(facts.kind, facts.external_id, **told, occurred_at=facts.occurred_at)

    def given(self) -> dict[str, Any]:
        """Return the facts that were sent, by name."""
        return {name: value for name in TOLD_FIELDS if (value := getattr(self, name)) is not ABSENT}

    @property
    def currency(self) -> str | None:
        """The currency of its amounts; None where it tells no amount."""
        return self.line_currency if self.total is ABSENT else self.total.currency

    def taken_away(self) -> list[str]:
        """Return the names of the facts that the report takes away."""
        return [name for name, value in self.given().items() if value is None or value == ()]


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """The facts as all reports so far have told them.

    `told_at` says for a fact when the report came about that told it last, None where nobody knows. A fact that is not
    in it was never told, or by a release that kept no times: such a one counts as told by the newest report.
    `keeps_positions` says that refunds or frozen formulas name lines by their position, so each line keeps its own.
    """

    facts: PurchaseFacts
    told_at: Mapping[str, datetime | None] = field(default_factory=dict)
    keeps_positions: bool = False


class AppliedReport(NamedTuple):
    """What is known after a report: the facts, when each was told, and which of them are others than before."""

    facts: PurchaseFacts
    told_at: dict[str, datetime | None]
    changed: tuple[str, ...]


class Arrival(StrEnum):
    """How a report stands to the newest one, by the times that both tell."""

    IN_ORDER = "IN_ORDER"
    """It is the newest one, or nobody can say otherwise: then the order of arrival counts."""
    LATE = "LATE"
    """It came about before the newest one."""


def arrival_of(report: PurchaseReport, newest_at: datetime | None) -> Arrival:
    """Tell whether a report came about before the newest one that is known."""
    is_late = report.occurred_at is not None and newest_at is not None and report.occurred_at < newest_at
    return Arrival.LATE if is_late else Arrival.IN_ORDER


def apply_report(report: PurchaseReport, known: KnownFacts | None, *, untimed_at: datetime | None) -> AppliedReport:
    """Return what is known after a report.

    `untimed_at` is when the report counts as told if it tells no time itself. Raises InvalidInput for a first report
    without a total, and for facts that do not go together.
    """
    if known is None:
        known = KnownFacts(_first_facts(report))
    given, before = report.given(), known.facts
    newest_at, told_at = before.occurred_at, report.occurred_at or untimed_at
    if arrival_of(report, newest_at) is Arrival.LATE:
        given = {name: value for name, value in given.items() if _is_news(name, known, report.occurred_at)}
    if "lines" in given:
        # Refunds and formulas name lines by their position, so they keep the order in which they are known.
        given["lines"] = _align(known, given["lines"] or ())
    if "payments" in given:
        given["payments"] = _keep_order(before.payments, given["payments"] or ())
    exchange = _exchange_after(report, before.exchange) if "total" in given else before.exchange
    after = replace(before, **given, occurred_at=_later(report.occurred_at, newest_at), exchange=exchange)
    if problem := _order_problem(report, after):
        raise InvalidInput([problem])
    times = {**known.told_at, **dict.fromkeys(given, told_at)}
    return AppliedReport(after, times, tuple(name for name in given if given[name] != getattr(before, name)))


def validate_report(report: PurchaseReport) -> list[Problem]:
    """Return everything wrong with what a report tells, in the order of the fields (see `validate_facts`)."""
    stand_in = Money(0, report.currency or "EUR")
    facts = PurchaseFacts(report.kind, report.external_id, stand_in, occurred_at=report.occurred_at)
    return validate_facts(replace(facts, **report.given()))


def forget_time_ahead(facts: PurchaseFacts, now: datetime) -> PurchaseFacts:
    """Return facts without a time that lies in the future, as an earlier release let pass.

    With such a time every later report would be late.
    """
    return replace(facts, occurred_at=None) if check_not_ahead(facts.occurred_at, now) else facts


def check_not_ahead(occurred_at: datetime | None, now: datetime) -> Problem | None:
    """Return the problem of a report from the future: it would make every later one late."""
    if occurred_at is None or occurred_at <= now + MAX_AHEAD:
        return None
    return Problem(("occurred_at",), "must not be more than an hour ahead of the clock")


def moment_of(occurred_at: datetime | None, now: datetime, latest_report: timedelta) -> datetime:
    """Return the moment that a report counts from: when it came about; now, if that is not told or was too long ago."""
    if occurred_at is None or occurred_at < now - latest_report:
        return now
    return min(occurred_at, now)


def _first_facts(report: PurchaseReport) -> PurchaseFacts:
    if report.total is ABSENT:
        raise InvalidInput.one("total", reason="must be told by the first report of a purchase")
    return PurchaseFacts(report.kind, report.external_id, report.total)


def _exchange_after(report: PurchaseReport, before: Exchange | None) -> Exchange | None:
    """The first rate of a purchase stays, also while its total is told in the program's currency."""
    return report.exchange or (before and replace(before, total_minor=None))


def _keep_order(known: tuple[Payment, ...], told: tuple[Payment, ...]) -> tuple[Payment, ...]:
    """The same payments in another order are nothing new."""
    return known if Counter(known) == Counter(told) else told


def _align(known: KnownFacts, lines: Sequence[PurchaseLine]) -> tuple[PurchaseLine, ...]:
    aligned = align_lines(known.facts.lines, lines, keeps_positions=known.keeps_positions)
    if len(aligned) > PURCHASE_MAX_LINES:
        reason = f"must have at most {PURCHASE_MAX_LINES} lines, with those that left the purchase after a refund"
        raise InvalidInput.one("lines", reason=reason)
    return aligned


def _is_news(name: str, known: KnownFacts, occurred_at: datetime | None) -> bool:
    """Whether no newer report has told a fact, so that a late one can fill it in."""
    value = getattr(known.facts, name)
    if name not in known.told_at:
        return value is None or value == ()
    told_at = known.told_at[name]
    return told_at is None or (occurred_at is not None and told_at < occurred_at)


def _order_problem(report: PurchaseReport, after: PurchaseFacts) -> Problem | None:
    """Return the problem of a service that ends before it starts.

    Different reports may tell the start and the end: the problem names the field that this report sent.
    """
    if after.starts_at is None or after.ends_at is None or after.starts_at <= after.ends_at:
        return None
    if report.ends_at is ABSENT:
        return Problem(("starts_at",), "must not be after the end that is known; send the new end as well")
    return Problem(("ends_at",), "must not be before the start")


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
