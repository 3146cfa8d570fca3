import re

import pytest

from loyalty.rules.entry import DisplayColor, EntryKind, display_color, entry_color


@pytest.mark.parametrize(
    ("kind", "color"),
    [
        pytest.param(EntryKind.EARNED, DisplayColor.GREEN, id="BK-56 earned"),
        pytest.param(EntryKind.REDEEMED, DisplayColor.RED, id="BK-56 redeemed"),
        pytest.param(EntryKind.ADJUSTED, DisplayColor.PURPLE, id="BK-56 adjusted"),
        pytest.param(EntryKind.EXPIRED, DisplayColor.GREY, id="C-28 expired"),
        pytest.param(EntryKind.EARN_REVERSED, DisplayColor.ORANGE, id="C-28 reversed"),
    ],
)
def test_entries_have_the_colours_of_the_log(kind: EntryKind, color: DisplayColor) -> None:
    assert display_color(kind) is color


def test_every_kind_has_a_colour() -> None:
    assert all(re.fullmatch("#[0-9A-F]{6}", entry_color(kind)) for kind in EntryKind)


def test_different_colours_look_different() -> None:
    """BK-56: the three fixed ones."""
    assert len({entry_color(kind) for kind in (EntryKind.EARNED, EntryKind.REDEEMED, EntryKind.ADJUSTED)}) == 3
