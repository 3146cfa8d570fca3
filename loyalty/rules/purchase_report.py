"""Apply a report about a purchase to the known facts. A report carries only the fields that were sent.

An absent field keeps the known fact, None removes it, a value replaces it; lines are replaced together. A late report
(by `occurred_at`) fills in only facts that no newer report has told.
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
"""The longest time that `occurred_at` may be ahead of our clock: callers' clocks are not all right."""

TOLD_FIELDS = ("total", "lines", "location", "staff", "booked_at", "starts_at", "ends_at", "payments")
"""The facts that a report may tell or leave out."""


@dataclass(frozen=True, slots=True)
class PurchaseReport:
    """The content of one report about a purchase. A field that is ABSENT was not sent; `total` cannot be removed.

    `occurred_at` is the time at which the reported change came about in the caller's system. `line_currency` is the
    currency of the amounts of lines and payments. `exchange_rate` is the value of one unit of that currency in the
    program's currency. After the report is converted, `exchange` has the total as it was sent.
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
        """Return a report that tells all these facts. Facts that are None or an empty list are left out."""
        return cls(facts.kind, facts.external_id, **list_told_facts(facts), occurred_at=facts.occurred_at)

    def given(self) -> dict[str, Any]:
        """Return the facts that were sent, by name."""
        return {name: value for name in TOLD_FIELDS if (value := getattr(self, name)) is not ABSENT}

    @property
    def currency(self) -> str | None:
        """The currency of the amounts; None if the report has no amount."""
        return self.line_currency if self.total is ABSENT else self.total.currency

    def taken_away(self) -> list[str]:
        """Return the names of the facts that the report removes."""
        return [name for name, value in self.given().items() if value is None or value == ()]


def list_told_facts(facts: PurchaseFacts) -> dict[str, Any]:
    """Return the facts that a report which tells all of them has, by name. None and empty lists are left out."""
    return {name: value for name in TOLD_FIELDS if (value := getattr(facts, name)) is not None and value != ()}


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """The facts that all reports so far have told.

    `told_at` has for each fact the time of the report that told it last; None if that is unknown. A fact that is not in
    it was never told, or told under a release that kept no times: such a fact counts as told by the newest report.
    `keeps_positions` says that refunds or frozen formulas name lines by their position, so each line keeps its own.
    """

    facts: PurchaseFacts
    told_at: Mapping[str, datetime | None] = field(default_factory=dict)
    keeps_positions: bool = False


class AppliedReport(NamedTuple):
    """The facts after a report, the time at which each was told, and the names of the facts that changed."""

    facts: PurchaseFacts
    told_at: dict[str, datetime | None]
    changed: tuple[str, ...]


class Arrival(StrEnum):
    """The order of a report and the newest one, by their times."""

    IN_ORDER = "IN_ORDER"
    """The report is the newest one. Without times the order of arrival decides."""
    LATE = "LATE"
    """The report came about before the newest one."""


def arrival_of(report: PurchaseReport, newest_at: datetime | None) -> Arrival:
    """Tell whether a report came about before the newest known report."""
    is_late = report.occurred_at is not None and newest_at is not None and report.occurred_at < newest_at
    return Arrival.LATE if is_late else Arrival.IN_ORDER


def apply_report(report: PurchaseReport, known: KnownFacts | None, *, untimed_at: datetime | None) -> AppliedReport:
    """Return the facts after a report.

    `untimed_at` is the time of the report if it tells none itself. Raises InvalidInput for a first report without a
    total, and for facts that contradict each other.
    """
    if known is None:
        known = KnownFacts(_begin_facts(report))
    given, before = report.given(), known.facts
    newest_at, told_at = before.occurred_at, report.occurred_at or untimed_at
    if arrival_of(report, newest_at) is Arrival.LATE:
        given = {name: value for name, value in given.items() if _is_news(name, known, report.occurred_at)}
    if "lines" in given:
        # Refunds and formulas name lines by their position, so known lines keep their order.
        given["lines"] = _align_lines(known, given["lines"] or ())
    if "payments" in given:
        given["payments"] = _keep_order(before.payments, given["payments"] or ())
    exchange = _choose_exchange(report, before.exchange) if "total" in given else before.exchange
    after = replace(before, **given, occurred_at=_choose_later(report.occurred_at, newest_at), exchange=exchange)
    if problem := _check_order(report, after):
        raise InvalidInput([problem])
    times = {**known.told_at, **dict.fromkeys(given, told_at)}
    return AppliedReport(after, times, tuple(name for name in given if given[name] != getattr(before, name)))


def validate_report(report: PurchaseReport) -> list[Problem]:
    """Return everything wrong with the sent fields of a report, in their order (see `validate_facts`)."""
    stand_in = Money(0, report.currency or "EUR")
    told = {"total": stand_in, **report.given()}
    return validate_facts(PurchaseFacts(report.kind, report.external_id, **told, occurred_at=report.occurred_at))


def forget_time_ahead(facts: PurchaseFacts, now: datetime) -> PurchaseFacts:
    """Return facts without `occurred_at` if it is more than an hour ahead of now; an earlier release allowed that.

    With such a time every later report would be late.
    """
    return replace(facts, occurred_at=None) if check_not_ahead(facts.occurred_at, now) else facts


def check_not_ahead(occurred_at: datetime | None, now: datetime) -> Problem | None:
    """Return a problem if the time of a report is more than an hour ahead: it would make every later report late."""
    if occurred_at is None or occurred_at <= now + MAX_AHEAD:
        return None
    return Problem(("occurred_at",), "must not be more than an hour ahead of the clock")


def moment_of(occurred_at: datetime | None, now: datetime, latest_report: timedelta) -> datetime:
    """Return the moment that a report counts from: when it came about, but never a moment after now.

    If the report does not tell when it came about, or came about more than ``latest_report`` ago, it counts from now.
    """
    if occurred_at is None or occurred_at < now - latest_report:
        return now
    return min(occurred_at, now)


def _begin_facts(report: PurchaseReport) -> PurchaseFacts:
    """Return the first facts of a purchase: only its total. Raises InvalidInput if the report tells no total."""
    if report.total is ABSENT:
        raise InvalidInput.one("total", reason="must be told by the first report of a purchase")
    return PurchaseFacts(report.kind, report.external_id, report.total)


def _choose_exchange(report: PurchaseReport, before: Exchange | None) -> Exchange | None:
    """Return the exchange of a purchase after a report that tells its total.

    If the total is in the program's currency, the rate stays and `total_minor` is None.
    """
    return report.exchange or (before and replace(before, total_minor=None))


def _keep_order(known: tuple[Payment, ...], told: tuple[Payment, ...]) -> tuple[Payment, ...]:
    """Return the known payments if the told ones are the same in another order, else the told ones."""
    return known if Counter(known) == Counter(told) else told


def _align_lines(known: KnownFacts, lines: Sequence[PurchaseLine]) -> tuple[PurchaseLine, ...]:
    """Return the reported lines in the order of the known lines. Raises InvalidInput if that makes too many lines."""
    aligned = align_lines(known.facts.lines, lines, keeps_positions=known.keeps_positions)
    if len(aligned) > PURCHASE_MAX_LINES:
        reason = f"must have at most {PURCHASE_MAX_LINES} lines, with those that left the purchase after a refund"
        raise InvalidInput.one("lines", reason=reason)
    return aligned


def _is_news(name: str, known: KnownFacts, occurred_at: datetime | None) -> bool:
    """Tell whether a late report may fill in a fact: no newer report has told it.

    ``occurred_at`` is when the late report came about.
    """
    value = getattr(known.facts, name)
    if name not in known.told_at:
        return value is None or value == ()
    told_at = known.told_at[name]
    return told_at is None or (occurred_at is not None and told_at < occurred_at)


def _check_order(report: PurchaseReport, after: PurchaseFacts) -> Problem | None:
    """Return a problem if the service ends before it starts.

    Different reports may tell the start and the end. The problem names the field that this report sent.
    """
    if after.starts_at is None or after.ends_at is None or after.starts_at <= after.ends_at:
        return None
    if report.ends_at is ABSENT:
        return Problem(("starts_at",), "must not be after the end that is known; send the new end as well")
    return Problem(("ends_at",), "must not be before the start")


def _choose_later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two instants; if one is None, the other."""
    return max(one, other) if one and other else one or other
