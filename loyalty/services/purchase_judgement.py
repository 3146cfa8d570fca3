"""Judge a report by the known state of its purchase."""

from dataclasses import replace
from datetime import datetime

from loyalty.ledger.program import CompiledProgram
from loyalty.rules.errors import (
    FeatureDisabled,
    refuse_problems,
)
from loyalty.rules.exchange import Exchange
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.purchase_report import KnownFacts, PurchaseReport, check_not_ahead, forget_time_ahead
from loyalty.rules.recording_steps import (
    PurchaseOnRecord,
    SentReport,
    find_recorded_status,
    refuse_late_change_of_hands,
)
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
    """Judge a report. It is checked in this order: customer, key, replay, time, currency, earlier reports."""
    purchase, on_record = known.purchase, _put_on_record(known)
    keyed_fingerprint = known.keyed.fingerprint if known.keyed else None
    sent = SentReport(recording.status, mark, recording.idempotency_key)
    recorded = find_recorded_status(on_record, keyed_fingerprint, sent)
    if recorded is not None:
        return Judgement(None, recorded)
    refuse_problems([check_not_ahead(recording.report.occurred_at, now)])
    report = convert_to_program_currency(recording.report, known, program)
    if purchase is None or on_record is None:
        return judge_first_report(report, recording.status)
    judged = judge_report(
        report,
        recording.status,
        _build_known_state(known, purchase, report, recording.status, now),
        is_keyed=recording.idempotency_key is not None,
        sent_before=known.fact is not None,
        is_earlier_state=lambda facts, status: mark_state(facts, status) in known.earlier_states,
    )
    refuse_late_change_of_hands(on_record, judged.status)
    return judged


def convert_to_program_currency(
    report: PurchaseReport, known: KnownPurchase, program: CompiledProgram
) -> PurchaseReport:
    """Return a report with its amounts in the program's currency. Raises CurrencyMismatch and InvalidInput."""
    exchange = from_optional(Exchange, known.purchase.exchange) if known.purchase else None
    return convert_report(report, program.row.currency, exchange)


def _put_on_record(known: KnownPurchase) -> PurchaseOnRecord | None:
    """Return the recorded purchase in the form for the rules; None if it has no report yet."""
    purchase, fact = known.purchase, known.fact
    if purchase is None:
        return None
    return PurchaseOnRecord(
        status=purchase.status,
        generation=purchase.generation,
        is_theirs=known.is_theirs,
        earned=known.accrual and known.accrual.state,
        is_refunded=known.was_refunded,
        is_paid_with_points=bool(known.paid.owner_ids),
        is_repeated=fact is not None and fact.version == purchase.version,
    )


def _build_known_state(
    known: KnownPurchase, purchase: PurchaseRow, report: PurchaseReport, status: PurchaseStatus, now: datetime
) -> KnownState:
    """Return the known state of a purchase in the form for the rules.

    Its lines keep their positions after a refund, and if the report cannot change the formulas of its points.
    """
    facts = forget_time_ahead(facts_of(purchase, None), now)
    state = KnownState(KnownFacts(facts, read_told_times(purchase)), purchase.status, purchase.generation)
    is_fixed = known.accrual is not None and not may_be_revalued(known.accrual, status_after(report, status, state))
    if known.was_refunded or is_fixed:
        return replace(state, known=replace(state.known, keeps_positions=True))
    return state


def judge_in_program(
    recording: PurchaseRecording, mark: str, known: KnownPurchase, program: CompiledProgram, now: datetime
) -> Judgement:
    """Judge a report as ``judge_recording`` does. While the program is off, only the end of a purchase is accepted.

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
