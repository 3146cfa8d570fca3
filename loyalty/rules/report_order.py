"""Whether a report about a purchase is a replay, something new, or cannot be told apart from either.

A report that says nothing new is a replay. One that returns to an earlier state may be a late retry or a new fact: only
`occurred_at` or an idempotency key can tell, so without both it is refused. Nothing is swallowed, nothing is guessed.
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
    """What all reports and refunds so far have made of a purchase."""

    known: KnownFacts
    status: PurchaseStatus
    generation: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a report: `news` is None for a replay, otherwise what is known after it, with the status."""

    news: AppliedReport | None
    status: PurchaseStatus


def judge_first_report(report: PurchaseReport, status: PurchaseStatus) -> Judgement:
    """Judge the first report of a purchase; raises InvalidInput when it tells no total."""
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

    `is_keyed` says that it has an idempotency key of its own that is new, `sent_before` that an earlier report said
    exactly the same. Raises InvalidInput, AmbiguousReport and StatusRunsBackwards.
    """
    newest_at = state.known.facts.occurred_at
    # Generation 0 was called off before anybody had heard of it: an untimed report tells how it began, before all else.
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
    """Return the status that a purchase takes by a report.

    A late report changes no status. A purchase that was called off before anybody had heard of it stays so, as long as
    only how it began is told.
    """
    newest_at = state.known.facts.occurred_at
    if state.generation:
        return state.status if _is_late(report, state) else status
    if status in CALLED_OFF:
        return status
    came_later = report.occurred_at is not None and (newest_at is None or report.occurred_at > newest_at)
    return status if came_later else state.status


def _is_late(report: PurchaseReport, state: KnownState) -> bool:
    return bool(state.generation) and arrival_of(report, state.known.facts.occurred_at) is Arrival.LATE
