"""What becomes of a report, by what is known of its purchase."""

from dataclasses import replace
from datetime import datetime

from loyalty.ledger.program import CompiledProgram
from loyalty.rules.accrual_steps import LOST
from loyalty.rules.errors import (
    FeatureDisabled,
    IdempotencyConflict,
    PurchaseOfAnotherCustomer,
    refuse_problems,
)
from loyalty.rules.exchange import Exchange
from loyalty.rules.purchase import ENDED, PurchaseStatus, reactivates
from loyalty.rules.purchase_report import KnownFacts, PurchaseReport, check_not_ahead
from loyalty.rules.report_exchange import convert_report
from loyalty.rules.report_order import Judgement, KnownState, judge_first_report, judge_report, status_after
from loyalty.services.purchase_recording import PurchaseRecording, mark_state
from loyalty.services.revaluation import may_be_revalued
from loyalty.storage.documents import from_optional
from loyalty.storage.purchase_preparation import KnownPurchase
from loyalty.storage.purchases import PurchaseRow, facts_of, read_told_times
from permissions.policy import LOYALTY


def judge_recording(
    recording: PurchaseRecording, mark: str, known: KnownPurchase, program: CompiledProgram, now: datetime
) -> Judgement:
    """Say what becomes of a report. Refused in this order: customer, key, replay, time, currency, what goes before."""
    report, purchase = recording.report, known.purchase
    if purchase is not None and not known.is_theirs and not _changes_hands(recording, known, purchase):
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
    if known.keyed is not None and recording.idempotency_key is not None:
        if known.keyed.fingerprint != mark:
            raise IdempotencyConflict(recording.idempotency_key)
        return Judgement(None, recording.status)
    is_keyed = recording.idempotency_key is not None
    if purchase is not None and known.fact and known.fact.version == purchase.version and not is_keyed:
        return Judgement(None, purchase.status)
    refuse_problems([check_not_ahead(report.occurred_at, now)])
    report = convert_to_program_currency(report, known, program)
    if purchase is None:
        return judge_first_report(report, recording.status)
    judged = judge_report(
        report,
        recording.status,
        _build_known_state(known, purchase, report, recording.status, now),
        is_keyed=is_keyed,
        sent_before=known.fact is not None,
        is_earlier_state=lambda facts, status: mark_state(facts, status) in known.earlier_states,
    )
    if not known.is_theirs and judged.status in ENDED:
        # A late report brings nothing back to life, so the purchase stays whose it is.
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
    return judged


def convert_to_program_currency(
    report: PurchaseReport, known: KnownPurchase, program: CompiledProgram
) -> PurchaseReport:
    """Return a report with its amounts in the currency of the program, or refuse one that has no rate for that."""
    exchange = from_optional(Exchange, known.purchase.exchange) if known.purchase else None
    return convert_report(report, program.row.currency, exchange)


def _changes_hands(recording: PurchaseRecording, known: KnownPurchase, purchase: PurchaseRow) -> bool:
    """Whether a purchase that was called off may come back to life as somebody else's: nothing is left of it."""
    lost = known.accrual is None or known.accrual.state in LOST
    untouched = not known.was_refunded and not known.paid.owner_ids
    return bool(purchase.generation) and lost and untouched and reactivates(purchase.status, recording.status)


def _build_known_state(
    known: KnownPurchase, purchase: PurchaseRow, report: PurchaseReport, status: PurchaseStatus, now: datetime
) -> KnownState:
    """What is known of a purchase, as the rules see it.

    Its lines keep their positions after a refund, and where a report leaves the formulas of its points as they are.
    A time that lies in the future, as an earlier release let pass, is none: it would make every later report late.
    """
    facts = facts_of(purchase, None)
    if check_not_ahead(facts.occurred_at, now):
        facts = replace(facts, occurred_at=None)
    state = KnownState(KnownFacts(facts, read_told_times(purchase)), purchase.status, purchase.generation)
    is_fixed = known.accrual is not None and not may_be_revalued(known.accrual, status_after(report, status, state))
    if known.was_refunded or is_fixed:
        return replace(state, known=replace(state.known, keeps_positions=True))
    return state


def judge_in_program(
    recording: PurchaseRecording, mark: str, known: KnownPurchase, program: CompiledProgram, now: datetime
) -> Judgement:
    """Judge a report as ``judge_recording`` does. While the program is off only the end of a purchase is taken.

    Raises FeatureDisabled for any other report then.
    """
    if program.row.settings.enabled:
        return judge_recording(recording, mark, known, program, now)
    if recording.status not in ENDED:
        raise FeatureDisabled(LOYALTY)
    judged = judge_recording(recording, mark, known, program, now)
    if judged.news is not None and judged.status not in ENDED:
        raise FeatureDisabled(LOYALTY)
    return judged
