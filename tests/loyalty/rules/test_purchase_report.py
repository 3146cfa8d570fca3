"""A report carries only what was sent: absent keeps, None takes away, a value sets; times put it into its place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import Money
from loyalty.rules.payments import Payment, PaymentKind
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_errors import AmbiguousReport, StatusRunsBackwards
from loyalty.rules.purchase_report import (
    TOLD_FIELDS,
    KnownFacts,
    PurchaseReport,
    apply_report,
    check_not_ahead,
    forget_time_ahead,
    moment_of,
    validate_report,
)
from loyalty.rules.report_order import Judgement, KnownState, judge_report

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
LINES = (PurchaseLine("cut", None, 1, 3_000),)
FULL = PurchaseFacts(
    PurchaseKind.ORDER, "order-1", Money(3_000, "EUR"), LINES, "mitte", "mara", NOON, NOON + HOUR, NOON + 2 * HOUR
)


def report(**told: Any) -> PurchaseReport:
    """Return a report that tells only what is named."""
    return PurchaseReport(PurchaseKind.ORDER, "order-1", **told)


def judge(told: PurchaseReport, status: PurchaseStatus, state: KnownState, **options: Any) -> Judgement:
    """Judge a report that nobody has sent before, unless the options say otherwise."""
    defaults = {"is_keyed": False, "sent_before": False, "is_earlier_state": lambda _facts, _status: False}
    return judge_report(told, status, state, **{**defaults, **options})


def state_of(facts: PurchaseFacts, status: PurchaseStatus, generation: int = 1) -> KnownState:
    """Return a purchase whose facts were told at no known time."""
    return KnownState(KnownFacts(facts), status, generation)


# ── absent, null, value ──────────────────────────────────────────────────────────────────────────────────────────────


def test_absent_facts_stay_as_they_are_known() -> None:
    after = apply_report(report(), KnownFacts(FULL), untimed_at=None)
    assert (after.facts, after.changed) == (FULL, ())


@pytest.mark.parametrize("name", [name for name in TOLD_FIELDS if name not in ("total", "lines", "payments")])
def test_null_takes_one_fact_away_and_no_other(name: str) -> None:
    cleared: dict[str, Any] = {name: None}
    after = apply_report(report(**cleared), KnownFacts(FULL), untimed_at=None)
    assert after.facts == replace(FULL, **cleared)
    assert after.changed == (name,)


def test_payments_are_replaced_whole() -> None:
    told = (Payment(PaymentKind.GIFT_CARD, 1_000, "card"),)
    known = KnownFacts(replace(FULL, payments=(Payment(PaymentKind.MONEY, 3_000),)))
    for payments in (told, ()):
        after = apply_report(report(payments=payments), known, untimed_at=None)
        assert (after.facts.payments, after.changed) == (payments, ("payments",))
    assert apply_report(report(), known, untimed_at=None).changed == ()


def test_payments_in_another_order_are_no_news() -> None:
    money, card = Payment(PaymentKind.MONEY, 2_000), Payment(PaymentKind.GIFT_CARD, 1_000, "card")
    known = replace(FULL, payments=(money, card))
    turned = apply_report(report(payments=(card, money)), KnownFacts(known), untimed_at=None)
    assert (turned.facts, turned.changed) == (known, ())
    twice = apply_report(report(payments=(card, card, money)), KnownFacts(known), untimed_at=None)
    assert twice.changed == ("payments",)


def test_lines_are_replaced_whole() -> None:
    oil = PurchaseLine("oil", None, 2, 500)
    assert apply_report(report(lines=(oil,)), KnownFacts(FULL), untimed_at=None).facts.lines == (oil,)
    assert apply_report(report(lines=()), KnownFacts(FULL), untimed_at=None).facts.lines == ()


def test_lines_in_another_order_are_no_news() -> None:
    oil = PurchaseLine("oil", None, 2, 500)
    known = replace(FULL, lines=(*LINES, oil))
    turned = apply_report(report(lines=(oil, *LINES)), KnownFacts(known), untimed_at=None)
    assert (turned.facts, turned.changed) == (known, ())


def test_the_first_report_must_tell_the_total() -> None:
    with pytest.raises(InvalidInput) as refused:
        apply_report(report(location="mitte"), None, untimed_at=None)
    assert refused.value.path == ("total",)


@pytest.mark.parametrize(
    ("told", "path"),
    [({"ends_at": NOON - HOUR}, ("ends_at",)), ({"starts_at": NOON + 9 * HOUR}, ("starts_at",))],
)
def test_facts_that_do_not_go_together_are_refused_at_the_field_that_was_sent(
    told: dict[str, datetime], path: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        apply_report(report(**told), KnownFacts(FULL), untimed_at=None)
    assert refused.value.path == path


def test_a_report_is_checked_without_what_it_leaves_out() -> None:
    assert validate_report(report()) == []
    wrong = validate_report(report(location="", lines=(PurchaseLine("a", None, 0, 1),)))
    assert [problem.path for problem in wrong] == [("lines", "0", "quantity"), ("location",)]


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "total": st.integers(0, 3).map(lambda amount: Money(amount, "EUR")),
    "lines": st.sampled_from([(), LINES]),
    "location": st.sampled_from([None, "mitte", "west"]),
    "staff": st.sampled_from([None, "mara", "ben"]),
    "starts_at": st.sampled_from([None, NOON, NOON + HOUR]),
}
TOLD = st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=5)


@given(TOLD, st.randoms(use_true_random=False))
def test_reports_with_times_end_the_same_in_whatever_order_they_arrive(told: list[dict[str, Any]], random: Any) -> None:
    """C-20: whatever arrives first, what came about last counts, fact by fact."""
    begun = report(total=Money(9, "EUR"), occurred_at=NOON - HOUR)
    dated = [report(**one, occurred_at=NOON + number * HOUR) for number, one in enumerate(told)]
    in_order = _after(begun, dated)
    random.shuffle(dated)
    assert _after(begun, dated) == in_order
    expected: dict[str, Any] = {"total": Money(9, "EUR")}
    for one in told:
        expected |= one
    assert {name: getattr(in_order, name) for name in expected} == expected


def _after(first: PurchaseReport, further: list[PurchaseReport]) -> PurchaseFacts:
    known = apply_report(first, None, untimed_at=None)
    for one in further:
        newest_at = known.facts.occurred_at
        known = apply_report(one, KnownFacts(known.facts, known.told_at), untimed_at=newest_at)
    return known.facts


def test_a_late_report_fills_in_what_nobody_told_and_changes_no_status() -> None:
    """C-20: paid without lines at noon; how it was created an hour before arrives after that."""
    paid = replace(FULL, lines=(), location=None, occurred_at=NOON)
    known = KnownState(KnownFacts(paid, {"staff": NOON}), PAID, 1)
    judged = judge(report(lines=LINES, staff="ben", occurred_at=NOON - HOUR), CREATED, known)
    assert judged.news is not None
    assert (judged.status, judged.news.changed) == (PAID, ("lines",))
    assert (judged.news.facts.lines, judged.news.facts.staff) == (LINES, "mara")


def test_a_late_report_without_news_is_refused() -> None:
    known = state_of(replace(FULL, occurred_at=NOON), PAID)
    with pytest.raises(StatusRunsBackwards, match="by a newer report"):
        judge(report(staff="ben", occurred_at=NOON - HOUR), PAID, known)


def test_a_time_ahead_of_the_clock_is_refused() -> None:
    assert check_not_ahead(NOON + HOUR, NOON) is None
    assert check_not_ahead(None, NOON) is None
    problem = check_not_ahead(NOON + HOUR + timedelta(microseconds=1), NOON)
    assert problem is not None
    assert problem.path == ("occurred_at",)


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        (None, NOON),
        (NOON - HOUR, NOON - HOUR),
        (NOON - 24 * HOUR, NOON - 24 * HOUR),
        (NOON - 25 * HOUR, NOON),
        (NOON + HOUR, NOON),
    ],
)
def test_a_report_counts_from_when_it_came_about_for_so_long(told: datetime | None, moment: datetime) -> None:
    assert moment_of(told, NOON, timedelta(days=1)) == moment


# ── replay, news, or nobody can tell ─────────────────────────────────────────────────────────────────────────────────


def test_a_report_with_nothing_new_is_a_replay() -> None:
    known = state_of(FULL, PAID)
    for told in (report(), report(location="mitte"), PurchaseReport.of(FULL)):
        assert judge(told, PAID, known) == Judgement(None, PAID)


def test_a_later_time_or_a_new_key_makes_the_same_report_a_new_fact() -> None:
    known = state_of(replace(FULL, occurred_at=NOON), PAID)
    assert judge(report(occurred_at=NOON + HOUR), PAID, known).news is not None
    assert judge(report(occurred_at=NOON), PAID, known).news is None
    assert judge(report(), PAID, known, is_keyed=True).news is not None


@pytest.mark.parametrize("how", [{"sent_before": True}, {"is_earlier_state": lambda _facts, _status: True}])
def test_a_return_to_an_earlier_state_is_not_guessed(how: dict[str, Any]) -> None:
    known, back = state_of(FULL, CREATED), report(ends_at=NOON + 9 * HOUR)
    with pytest.raises(AmbiguousReport) as refused:
        judge(back, CREATED, known, **how)
    assert refused.value.send == ("occurred_at", "idempotency_key")
    assert judge(back, CREATED, known, **how, is_keyed=True).news is not None
    if "sent_before" not in how:
        assert judge(replace(back, occurred_at=NOON), CREATED, known, **how).news is not None


def test_a_report_that_can_only_be_a_retry_is_a_replay() -> None:
    known = state_of(replace(FULL, occurred_at=NOON), COMPLETED)
    assert judge(report(), CREATED, known, sent_before=True).news is None
    assert judge(report(ends_at=None, occurred_at=NOON - HOUR), CREATED, known, sent_before=True).news is None
    with pytest.raises(StatusRunsBackwards):
        judge(report(), CREATED, known)


def test_a_purchase_called_off_before_it_was_known_stays_so_until_a_later_time_is_told() -> None:
    """C-20."""
    known = state_of(replace(FULL, occurred_at=NOON, lines=()), CANCELLED, 0)
    began = judge(report(lines=LINES), CREATED, known)
    assert began.news is not None
    assert (began.status, began.news.facts.lines) == (CANCELLED, LINES)
    assert judge(report(occurred_at=NOON + HOUR), CONFIRMED, known).status is CONFIRMED


@pytest.mark.parametrize(
    ("occurred_at", "kept"),
    [
        (None, None),
        (NOON + HOUR, NOON + HOUR),
        (NOON + HOUR + timedelta(microseconds=1), None),
    ],
)
def test_a_time_in_the_future_that_was_let_pass_once_is_forgotten(
    occurred_at: datetime | None, kept: datetime | None
) -> None:
    facts = replace(FULL, occurred_at=occurred_at)
    assert forget_time_ahead(facts, NOON) == replace(FULL, occurred_at=kept)
