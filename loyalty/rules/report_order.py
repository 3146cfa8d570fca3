"""Judge a report about a purchase: it is a replay, it is new, or nobody can tell.

A report that tells nothing new is a replay. A report that returns to an earlier state may be a late retry or a new
fact. Only `occurred_at` or an idempotency key can tell, so without both it is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass

from loyalty.rules.purchase import CALLED_OFF, PurchaseFacts, PurchaseStatus, StatusStep, next_status
from loyalty.rules.purchase_errors import AmbiguousReport, StatusRunsBackwards
from loyalty.rules.purchase_report import (
    AppliedReport,
    Arrival,
    KnownFacts,
    PurchaseReport,
    apply_report,
    arrival_of,
)


@dataclass(frozen=True, slots=True)
class KnownState:
    """The state of a purchase after all reports and refunds so far."""

    known: KnownFacts
    status: PurchaseStatus
    generation: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a report: `news` is None for a replay, else the facts after the report.

    `status` is the status after it.
    """

    news: AppliedReport | None
    status: PurchaseStatus


def judge_first_report(report: PurchaseReport, status: PurchaseStatus) -> Judgement:
    """Judge the first report of a purchase. Raises InvalidInput if it tells no total."""
    return Judgement(apply_report(report, None, untimed_at=None), status)


def judge_report(
    report: PurchaseReport,
    status: PurchaseStatus,
    state: KnownState,
    *,
    is_keyed: bool,
    sent_before: bool,
    is_earlier_state: Callable[[PurchaseFacts, PurchaseStatus], bool],
) -> Judgement:
    """Judge a further report of a purchase.

    `is_keyed` says that it has a new idempotency key of its own. `sent_before` says that an earlier report was exactly
    the same. `is_earlier_state` tells whether the purchase had these facts and this status at an earlier time. Raises
    InvalidInput, AmbiguousReport and StatusRunsBackwards.
    """
    newest_at = state.known.facts.occurred_at
    # A purchase of generation 0 was called off by its first report: an untimed report tells its beginning, before all
    # else.
    applied = apply_report(report, state.known, untimed_at=newest_at if state.generation else None)
    after = status_after(report, status, state)
    is_news = bool(applied.changed) or after is not state.status or applied.facts.occurred_at != newest_at
    is_stale = next_status(state.status, status) is StatusStep.STALE
    is_untold = report.occurred_at is None and not is_keyed
    if sent_before and not is_keyed and (not is_untold or is_stale or not is_news):
        # The time is the same as well, or the status cannot come again: it can only be a retry.
        return Judgement(None, state.status)
    if _is_late(report, state):
        if not applied.changed:
            raise StatusRunsBackwards(state.status, status, is_late=True)
        return Judgement(applied, after)
    if is_stale:
        raise StatusRunsBackwards(state.status, status)
    if not is_news and not is_keyed:
        return Judgement(None, state.status)
    if is_untold and (sent_before or is_earlier_state(applied.facts, after)):
        raise AmbiguousReport(state.status)
    return Judgement(applied, after)


def status_after(report: PurchaseReport, status: PurchaseStatus, state: KnownState) -> PurchaseStatus:
    """Return the status of a purchase after a report. ``status`` is the status that the report tells.

    A late report changes no status. A purchase of generation 0 stays called off, unless a report tells a later time.
    """
    newest_at = state.known.facts.occurred_at
    if state.generation:
        return state.status if _is_late(report, state) else status
    if status in CALLED_OFF:
        return status
    came_later = report.occurred_at is not None and (newest_at is None or report.occurred_at > newest_at)
    return status if came_later else state.status


def _is_late(report: PurchaseReport, state: KnownState) -> bool:
    """Tell whether a report came about before the newest one. For a purchase of generation 0 no report is late."""
    return bool(state.generation) and arrival_of(report, state.known.facts.occurred_at) is Arrival.LATE
