import pytest

from loyalty.rules.durations import format_minutes, parse_minutes
from loyalty.rules.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("PT0S", 0), ("PT1M", 1), ("PT3H", 180), ("PT90M", 90), ("P1D", 1_440), ("P2W", 20_160), ("P1DT2H30M", 1_590)],
)
def test_durations_are_read_as_minutes(text: str, minutes: int) -> None:
    assert parse_minutes(text, ("delay",)) == minutes


@pytest.mark.parametrize("text", ["", "P", "PT", "P1Y", "P1M", "PT1S", "-PT1H", "PT1.5H", "3h", "PT٣H", "P1DT"])
def test_refuses_what_has_no_fixed_number_of_minutes(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_minutes(text, ("accrual", "delay"))
    assert refusal.value.path == ("accrual", "delay")


@pytest.mark.parametrize("minutes", [0, 1, 59, 60, 90, 1_440, 1_441, 20_160, 527_040])
def test_a_formatted_duration_is_parsed_to_the_same_minutes(minutes: int) -> None:
    assert parse_minutes(format_minutes(minutes), ()) == minutes


def test_the_shortest_writing_is_chosen() -> None:
    assert [format_minutes(minutes) for minutes in (0, 180, 1_440, 1_500)] == ["PT0S", "PT3H", "P1D", "P1DT1H"]
