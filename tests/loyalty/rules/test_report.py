from datetime import UTC, date, datetime

import pytest

from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import Ratio
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.report import MAX_RATE_PERCENT, day_range, redemption_rate, redemption_ratio


@pytest.mark.parametrize(
    ("earned", "redeemed", "percent"),
    [
        pytest.param(3, 1, 34, id="a third is rounded up"),
        pytest.param(3, 2, 67, id="two thirds"),
        pytest.param(100, 50, 50, id="exact stays exact"),
        pytest.param(1_000_000, 1, 1, id="the least is one percent"),
        pytest.param(100, 0, 0, id="nothing redeemed"),
        pytest.param(0, 0, 0, id="empty range"),
        pytest.param(0, 50, 0, id="nothing earned is never an error"),
        pytest.param(-5, 50, 0, id="more reversed than earned"),
        pytest.param(100, -5, 0, id="more returned than redeemed"),
        pytest.param(100, 250, 250, id="may exceed 100"),
        pytest.param(MAX_POINTS, MAX_POINTS, 100, id="the largest numbers"),
        pytest.param(1, MAX_POINTS, MAX_RATE_PERCENT, id="bounded"),
    ],
)
def test_the_redemption_rate_is_rounded_up(earned: int, redeemed: int, percent: int) -> None:
    """BK-52."""
    assert redemption_rate(earned, redeemed) == percent


def test_the_exact_ratio_is_offered_beside_the_rate() -> None:
    """BK-52."""
    assert redemption_ratio(300, 100) == Ratio(1, 3)
    assert redemption_ratio(0, 100) is None


@pytest.mark.parametrize(
    ("zone", "first", "last", "start", "end", "hours"),
    [
        pytest.param("Europe/Berlin", "2025-01-01", "2025-01-01", "2024-12-31T23", "2025-01-01T23", 24, id="winter"),
        pytest.param("Europe/Berlin", "2025-03-30", "2025-03-30", "2025-03-29T23", "2025-03-30T22", 23, id="forward"),
        pytest.param("Europe/Berlin", "2025-10-26", "2025-10-26", "2025-10-25T22", "2025-10-26T23", 25, id="back"),
        pytest.param("Europe/Berlin", "2025-03-01", "2025-03-31", "2025-02-28T23", "2025-03-31T22", 743, id="month"),
        pytest.param("America/New_York", "2025-03-09", "2025-03-09", "2025-03-09T05", "2025-03-10T04", 23, id="west"),
        pytest.param("Asia/Tokyo", "2025-01-01", "2025-01-01", "2024-12-31T15", "2025-01-01T15", 24, id="east"),
        pytest.param("America/Santiago", "2024-09-08", "2024-09-08", "2024-09-08T04", "2024-09-09T03", 23, id="none"),
        pytest.param("America/Havana", "2025-11-02", "2025-11-02", "2025-11-02T04", "2025-11-03T05", 25, id="two"),
        pytest.param("Asia/Beirut", "2024-10-26", "2024-10-26", "2024-10-25T21", "2024-10-26T22", 25, id="at 00:00"),
        pytest.param("Pacific/Apia", "2011-12-30", "2011-12-30", "2011-12-30T10", "2011-12-30T10", 0, id="skipped day"),
    ],
)  # fmt: skip
def test_local_days_become_instants(zone: str, first: str, last: str, start: str, end: str, hours: int) -> None:
    """BK-54, F-24: both days included, in the tenant's zone, also where clocks change."""
    start_at, end_at, *_ = day_range(date.fromisoformat(first), date.fromisoformat(last), zone)
    assert start_at == datetime.fromisoformat(f"{start}+00:00")
    assert end_at == datetime.fromisoformat(f"{end}+00:00")
    assert (end_at - start_at).total_seconds() == hours * 3600
    assert start_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("first", "last", "zone", "path"),
    [
        (date(2025, 1, 2), date(2025, 1, 1), "UTC", ("range", "to")),
        (date(1969, 12, 31), date(2025, 1, 1), "UTC", ("range", "from")),
        (date(2025, 1, 1), date.max, "UTC", ("range", "to")),
        (date.min, date.max, "Asia/Tokyo", ("range", "from")),
        (date(2025, 1, 1), date(2025, 1, 1), "Nowhere", ("time_zone",)),
    ],
)
def test_refuses_ranges_that_cannot_be(first: date, last: date, zone: str, path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        day_range(first, last, zone)
    assert refusal.value.path == path


def test_takes_the_first_and_the_last_day_in_every_direction() -> None:
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        start_at, end_at, *_ = day_range(date(1970, 1, 1), date(9998, 12, 31), zone)
        assert start_at < end_at
