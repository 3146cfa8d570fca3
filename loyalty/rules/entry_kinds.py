"""The properties of each kind of entry, in one row for each. Posting, proof, reports and schema read them here.

The table is among the rules, because statements of `loyalty.storage` read it too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from loyalty.rules.entry import DisplayColor, EntryKind, ReferenceKind
from loyalty.rules.events import EventKind
from loyalty.rules.tiers import TierChangeCause


class LotEffect(StrEnum):
    """What entries of a kind do to lots. Every entry below zero takes points from lots."""

    OPENS = "OPENS"
    """An entry above zero opens lots of its size."""
    GIVES_BACK = "GIVES_BACK"
    """An entry above zero gives points back to lots, or opens lots, or pays debt."""
    MOVES = "MOVES"
    """An entry above zero opens lots of its size. If it pays the debt of a merged customer, it opens none."""


class ReportFigure(StrEnum):
    """The figure of a report that counts the points of a kind."""

    EARNED = "EARNED"
    REVERSED = "REVERSED"
    REDEEMED = "REDEEMED"
    RETURNED = "RETURNED"
    EXPIRED = "EXPIRED"
    ADJUSTED = "ADJUSTED"


class Qualifies(StrEnum):
    """Whether points of a kind count for the tier."""

    ALWAYS = "ALWAYS"
    """Points of the kind count for the tier, and for the lifetime sum too."""
    IF_SAID = "IF_SAID"
    """Points of the kind count if the adjustment says so."""
    NEVER = "NEVER"
    """Points of the kind do not count by themselves."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """The properties of one kind of entry.

    ``phases`` are the phases that its entries may have; ``numbered_phase`` is the prefix of phases that have a number
    behind it. ``reference`` is the kind of object that an entry is about. ``event`` is the event that tells of it.
    ``tier_cause`` is the cause of a tier change that follows it; None if only a review changes the tier. A kind without
    reference and event is not written yet.
    """

    kind: EntryKind
    color: DisplayColor
    phases: tuple[str, ...] = ()
    numbered_phase: str | None = None
    reference: ReferenceKind | None = None
    event: EventKind | None = None
    lots: LotEffect = LotEffect.OPENS
    tier_cause: TierChangeCause | None = None
    qualifies: Qualifies = Qualifies.NEVER
    figure: ReportFigure | None = None
    cause_table: str | None = None
    """The table of the causes, for the proof; None if another source of the proof joins causes and entries."""
    about_column: str = "id"
    """The column of that table with the id of the object that the entry is about."""
    leaves_debt: bool = True
    """Whether an entry below zero may take more points than the lots have."""

    def has_phase(self, phase: str) -> bool:
        """Tell whether entries of this kind may have a phase."""
        numbered = self.numbered_phase is not None and phase.startswith(self.numbered_phase)
        return phase in self.phases or (numbered and phase != self.numbered_phase)

    def phase_condition(self, column: str = "phase") -> str:
        """Return the SQL condition that a phase is one of this kind.

        For a kind with numbered phases it is a range, so that the index of causes can serve it.
        """
        if self.numbered_phase is not None:
            first = min((*self.phases, self.numbered_phase))
            return f"{column} BETWEEN '{first}' AND '{self.numbered_phase}~'"
        if len(self.phases) == 1:
            return f"{column} = '{self.phases[0]}'"
        return f"{column} IN ({quote(self.phases)})" if self.phases else "false"


KINDS = {
    row.kind: row
    for row in (
        KindRow(
            EntryKind.EARNED,
            DisplayColor.GREEN,
            phases=("EARN",),
            numbered_phase="EARN-",
            reference=ReferenceKind.PURCHASE,
            event=EventKind.POINTS_EARNED,
            tier_cause=TierChangeCause.ACCRUAL,
            qualifies=Qualifies.ALWAYS,
            figure=ReportFigure.EARNED,
        ),
        KindRow(
            EntryKind.ADJUSTED,
            DisplayColor.PURPLE,
            phases=("ADJUST",),
            reference=ReferenceKind.ADJUSTMENT,
            event=EventKind.POINTS_ADJUSTED,
            tier_cause=TierChangeCause.ADJUSTMENT,
            qualifies=Qualifies.IF_SAID,
            figure=ReportFigure.ADJUSTED,
        ),
        KindRow(
            EntryKind.EARN_REVERSED,
            DisplayColor.ORANGE,
            numbered_phase="REVERSE-",
            reference=ReferenceKind.PURCHASE,
            event=EventKind.POINTS_REVERSED,
            tier_cause=TierChangeCause.REVERSAL,
            qualifies=Qualifies.ALWAYS,
            figure=ReportFigure.REVERSED,
        ),
        KindRow(
            EntryKind.REDEEMED,
            DisplayColor.RED,
            phases=("REDEEM",),
            reference=ReferenceKind.REDEMPTION,
            event=EventKind.POINTS_REDEEMED,
            tier_cause=TierChangeCause.REDEMPTION,
            figure=ReportFigure.REDEEMED,
        ),
        KindRow(
            EntryKind.REDEMPTION_RETURNED,
            DisplayColor.ORANGE,
            phases=("RETURN",),
            reference=ReferenceKind.REDEMPTION,
            event=EventKind.POINTS_RETURNED,
            lots=LotEffect.GIVES_BACK,
            tier_cause=TierChangeCause.REDEMPTION,
            figure=ReportFigure.RETURNED,
            cause_table="redemption_returns",
            about_column="redemption_id",
        ),
        KindRow(
            EntryKind.EXPIRED,
            DisplayColor.GREY,
            numbered_phase="EXPIRE-",
            reference=ReferenceKind.LOT,
            event=EventKind.POINTS_EXPIRED,
            figure=ReportFigure.EXPIRED,
            leaves_debt=False,
        ),
        KindRow(
            EntryKind.OPENING,
            DisplayColor.PURPLE,
            phases=("OPEN",),
            reference=ReferenceKind.OPENING_BALANCE,
            event=EventKind.POINTS_OPENED,
            tier_cause=TierChangeCause.OPENING,
            cause_table="opening_balances",
        ),
        KindRow(
            EntryKind.MERGED,
            DisplayColor.PURPLE,
            phases=("SOURCE", "TARGET"),
            reference=ReferenceKind.CUSTOMER_MERGE,
            event=EventKind.POINTS_MERGED,
            lots=LotEffect.MOVES,
            tier_cause=TierChangeCause.MERGE,
            cause_table="customer_merges",
        ),
        KindRow(
            EntryKind.GIFT_CARD,
            DisplayColor.RED,
            phases=("BUY",),
            reference=ReferenceKind.GIFT_CARD,
            event=EventKind.GIFT_CARD_BOUGHT,
            tier_cause=TierChangeCause.REDEMPTION,
            figure=ReportFigure.REDEEMED,
        ),
        KindRow(
            EntryKind.GIFT_CARD_RETURNED,
            DisplayColor.ORANGE,
            phases=("CANCEL",),
            reference=ReferenceKind.GIFT_CARD,
            event=EventKind.GIFT_CARD_REFUNDED,
            lots=LotEffect.GIVES_BACK,
            tier_cause=TierChangeCause.REDEMPTION,
            figure=ReportFigure.RETURNED,
        ),
    )
}
"""Every kind, in the order in which the proof tries them."""

QUALIFYING = tuple(kind for kind, row in KINDS.items() if row.qualifies is not Qualifies.NEVER)
"""The kinds whose points may count for the tier."""
LIFETIME_EARNED = tuple(kind for kind, row in KINDS.items() if row.qualifies is Qualifies.ALWAYS)
"""The kinds whose points add up to the lifetime points."""
ACTIVE = tuple(kind for kind, row in KINDS.items() if row.figure in {ReportFigure.EARNED, ReportFigure.REDEEMED})
"""The kinds that make a customer active: in a report (C-12), and for points that expire by inactivity."""

_HEX_OF_COLOR = {
    DisplayColor.GREEN: "#2E7D32",
    DisplayColor.RED: "#C62828",
    DisplayColor.PURPLE: "#6A1B9A",
    DisplayColor.GREY: "#616161",
    DisplayColor.ORANGE: "#BF360C",
    DisplayColor.BLUE: "#1565C0",
}
"""Each has a contrast of at least 4.5 : 1 on white (WCAG 2.2, success criterion 1.4.3)."""


@dataclass(frozen=True, slots=True)
class EntryCause:
    """What an entry is about, and its cause and phase, which exist only once."""

    kind: EntryKind
    reference_kind: ReferenceKind
    reference_id: UUID
    cause_id: UUID
    phase: str


def cause_entry(kind: EntryKind, reference_id: UUID, cause_id: UUID, phase: str | None = None) -> EntryCause:
    """Return the cause of an entry. Without a ``phase`` it has the only phase of its kind.

    Raises ValueError for a phase that the kind does not have, and for a kind that is not written yet.
    """
    row = KINDS[kind]
    if phase is None:
        (phase,) = row.phases
    if row.reference is None or not row.has_phase(phase):
        raise ValueError(f"entries of kind {kind} have no phase {phase!r}")
    return EntryCause(kind, row.reference, reference_id, cause_id, phase)


def display_color(kind: EntryKind) -> DisplayColor:
    """Return the colour of an entry: earned green, redeemed red, adjusted purple, expired grey, reversals orange."""
    return KINDS[kind].color


def entry_color(kind: EntryKind) -> str:
    """Return the colour of an entry as #RRGGBB."""
    return _HEX_OF_COLOR[KINDS[kind].color]


def quote(values: Iterable[str]) -> str:
    """Return names as SQL texts in single quotes, with commas between them.

    The names must be constants of this code: quotes in them are not escaped.
    """
    return ", ".join(f"'{value}'" for value in values)
