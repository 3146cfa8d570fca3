"""What kinds of ledger entries there are, and the colour each is shown in."""

from enum import StrEnum


class EntryKind(StrEnum):
    """Why an entry moved points."""

    EARNED = "EARNED"
    REDEEMED = "REDEEMED"
    ADJUSTED = "ADJUSTED"
    EXPIRED = "EXPIRED"
    EARN_REVERSED = "EARN_REVERSED"
    REDEMPTION_RETURNED = "REDEMPTION_RETURNED"
    GIFT_CARD = "GIFT_CARD"
    OPENING = "OPENING"
    MERGED = "MERGED"


class DisplayColor(StrEnum):
    """The colours of the activity log, by name."""

    GREEN = "GREEN"
    RED = "RED"
    PURPLE = "PURPLE"
    GREY = "GREY"
    ORANGE = "ORANGE"
    BLUE = "BLUE"


_COLOR_OF_KIND = {
    EntryKind.EARNED: DisplayColor.GREEN,
    EntryKind.REDEEMED: DisplayColor.RED,
    EntryKind.ADJUSTED: DisplayColor.PURPLE,
    EntryKind.EXPIRED: DisplayColor.GREY,
    EntryKind.EARN_REVERSED: DisplayColor.ORANGE,
    EntryKind.REDEMPTION_RETURNED: DisplayColor.ORANGE,
    EntryKind.GIFT_CARD: DisplayColor.RED,
    EntryKind.OPENING: DisplayColor.PURPLE,
    EntryKind.MERGED: DisplayColor.PURPLE,
}

_HEX_OF_COLOR = {
    DisplayColor.GREEN: "#2E7D32",
    DisplayColor.RED: "#C62828",
    DisplayColor.PURPLE: "#6A1B9A",
    DisplayColor.GREY: "#616161",
    DisplayColor.ORANGE: "#BF360C",
    DisplayColor.BLUE: "#1565C0",
}
"""Each has a contrast of at least 4.5 : 1 on white (WCAG 2.2, success criterion 1.4.3)."""


def display_color(kind: EntryKind) -> DisplayColor:
    """Return the colour of an entry: earned green, redeemed red, adjusted purple, expired grey, reversals orange."""
    return _COLOR_OF_KIND[kind]


def entry_color(kind: EntryKind) -> str:
    """Return the colour of an entry as #RRGGBB."""
    return _HEX_OF_COLOR[_COLOR_OF_KIND[kind]]
