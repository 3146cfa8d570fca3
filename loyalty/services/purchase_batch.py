"""Check a batch before any query, and split it into waves."""

from collections import Counter
from collections.abc import Sequence

from loyalty.rules.customer import validate_profile
from loyalty.rules.errors import FeatureDisabled, InvalidInput, Problem
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.purchase_report import validate_report
from loyalty.rules.text import check_external_id
from loyalty.services.purchase_recording import PurchaseRecording, RecordingResult

MAX_REPORTS_OF_ONE_PURCHASE = 100
"""The most reports of one purchase in a batch: each further report is a transaction of its own."""


def refuse_input(recording: PurchaseRecording) -> InvalidInput | None:
    """Return the refusal of a report whose input is wrong; None if the report has to be judged."""
    problems = [
        *validate_report(recording.report),
        *(Problem(("customer", *path), reason) for path, reason in validate_profile(recording.customer)),
    ]
    if recording.idempotency_key is not None:
        key_problem = check_external_id(recording.idempotency_key, ("idempotency_key",))
        problems += [key_problem] if key_problem else []
    return InvalidInput(problems) if problems else None


def split_into_waves(recordings: Sequence[PurchaseRecording], results: list[RecordingResult | None]) -> list[list[int]]:
    """Split a batch into waves. No purchase is in one wave twice, so its reports are recorded one after another.

    The items of one customer keep their order. Items that have a result already are left out. Too many reports of one
    purchase are refused here.
    """
    waves: list[list[int]] = []
    reports: Counter[tuple[PurchaseKind, str]] = Counter()
    next_wave: dict[tuple[PurchaseKind, str], int] = {}
    wave_of_customer: dict[str, int] = {}
    for position, recording in enumerate(recordings):
        if results[position] is not None:
            continue
        key, customer = (recording.report.kind, recording.report.external_id), recording.customer.external_id
        if reports[key] == MAX_REPORTS_OF_ONE_PURCHASE:
            reason = f"stands in the batch more than {MAX_REPORTS_OF_ONE_PURCHASE} times"
            results[position] = InvalidInput.one("external_id", reason=reason)
            continue
        reports[key] += 1
        number = max(next_wave.get(key, 0), wave_of_customer.get(customer, 0))
        next_wave[key], wave_of_customer[customer] = number + 1, number
        if number == len(waves):
            waves.append([])
        waves[number].append(position)
    return waves


def name_status(result: RecordingResult) -> RecordingResult:
    """Return the result of an item. A FeatureDisabled becomes an InvalidInput that names the status."""
    if not isinstance(result, FeatureDisabled):
        return result
    return InvalidInput.one("status", reason="must be CANCELLED, NO_SHOW or REFUNDED while the program is off")
