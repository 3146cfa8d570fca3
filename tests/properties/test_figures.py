from collections import Counter
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import ACTIVE
from loyalty.rules.figures import ActiveSpan, Figure, FigurePeriod, Movement, Span, add_up, find_spans, split_days
from loyalty.rules.ids import CustomerId
from loyalty.rules.report import FIRST_REPORT_DAY, LAST_REPORT_DAY
from tests.properties.strategies import ZONES

A_DAY = timedelta(days=1)
DAYS = st.dates(date(2019, 1, 1), date(2026, 12, 31))


def days_of(span: Span) -> list[date]:
    """Every day of a span. It begins and ends with whole periods, so these are the days of its periods."""
    return [span.first + timedelta(days=number) for number in range((span.after - span.first).days)]


@given(DAYS, st.integers(0, 1_500))
@example(date(2024, 2, 29), 0)
@example(date(2024, 1, 1), 365)
@example(date(2023, 12, 31), 367)
@example(date(2024, 1, 31), 29)
def test_the_spans_of_a_range_have_each_day_once(first: date, length: int) -> None:
    """Whole years and months stand in the middle, so that a long range reads as little as a short one."""
    after = first + timedelta(days=length + 1)
    spans = split_days(first, after)
    assert [day for span in spans for day in days_of(span)] == [first + timedelta(days=n) for n in range(length + 1)]
    assert len(spans) <= 5
    for span in spans:
        assert span.period.first_day(span.first) == span.first
        assert span.period.first_day(span.after) == span.after
    assert sum((span.after - span.first).days for span in spans if span.period is FigurePeriod.DAY) <= 60


def test_the_longest_range_has_whole_years_alone() -> None:
    after = LAST_REPORT_DAY + A_DAY
    assert split_days(FIRST_REPORT_DAY, after) == [Span(FigurePeriod.YEAR, FIRST_REPORT_DAY, after)]
    assert split_days(LAST_REPORT_DAY, after) == [Span(FigurePeriod.DAY, LAST_REPORT_DAY, after)]


movements = st.builds(
    Movement,
    st.sampled_from(EntryKind),
    st.integers(-100, 100),
    st.integers(0, 3).map(lambda number: CustomerId(UUID(int=number))),
    st.integers(0, 63 * 24 * 60).map(lambda minutes: datetime(2023, 12, 30, tzinfo=UTC) + timedelta(minutes=minutes)),
)


@given(st.lists(movements, max_size=30), st.sampled_from(ZONES))
def test_figures_of_each_length_are_the_sums_of_the_entries(moved: list[Movement], zone: str) -> None:
    place = ZoneInfo(zone)
    figures, days = add_up(moved, place)
    naive: Counter[tuple[str, EntryKind]] = Counter()
    for one in moved:
        local = one.occurred_at.astimezone(place)
        for form in ("%Y-%m-%d", "%Y-%m", "%Y"):
            naive[local.strftime(form), one.kind] += one.points
    shown = {FigurePeriod.DAY: 10, FigurePeriod.MONTH: 7, FigurePeriod.YEAR: 4}
    assert {(one.starts_on.isoformat()[: shown[one.period]], one.kind): one.points for one in figures} == naive
    assert figures == sorted(figures)
    assert all(one.period.first_day(one.starts_on) == one.starts_on for one in figures)
    assert days == sorted(
        {(one.occurred_at.astimezone(place).date(), one.customer_id) for one in moved if one.kind in ACTIVE}
    )


@given(st.lists(movements, max_size=30))
def test_the_span_of_a_customer_goes_from_the_first_to_the_last_active_day(moved: list[Movement]) -> None:
    _, days = add_up(moved, ZoneInfo("UTC"))
    customers = sorted({one.customer_id for one in days})
    of = {customer: [one.day for one in days if one.customer_id == customer] for customer in customers}
    assert find_spans(days) == [ActiveSpan(customer, min(of[customer]), max(of[customer])) for customer in customers]


def test_an_entry_without_points_left_is_a_figure_of_zero() -> None:
    """Its row stays: another entry of the kind is added to it."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    both = [Movement(EntryKind.ADJUSTED, points, CustomerId(UUID(int=0)), at) for points in (5, -5)]
    assert add_up(both, ZoneInfo("UTC")) == (
        [Figure(period, at.date(), EntryKind.ADJUSTED, 0) for period in FigurePeriod],
        [],
    )
