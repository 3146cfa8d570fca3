from datetime import UTC, datetime, timedelta, timezone

import pytest

from loyalty.rules.instants import FIRST_INSTANT, LAST_INSTANT, check_instant

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("value", [None, FIRST_INSTANT, LAST_INSTANT, datetime(2026, 3, 1, tzinfo=UTC)])
def test_takes_instants_that_every_zone_and_delay_can_move(value: datetime | None) -> None:
    assert check_instant(value, ("starts_at",)) is None


@pytest.mark.parametrize(
    "value",
    [
        FIRST_INSTANT - SECOND,
        LAST_INSTANT + SECOND,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(2026, 3, 1),  # noqa: DTZ001 - a naive one is what is refused
    ],
)
def test_refuses_the_ends_of_the_calendar_and_naive_times(value: datetime) -> None:
    problem = check_instant(value, ("starts_at",))
    assert problem is not None
    assert problem.path == ("starts_at",)
