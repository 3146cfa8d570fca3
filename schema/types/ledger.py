"""The ledger: every change of a balance is one entry with a reference."""

import asyncio
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Union

import strawberry

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.entry import DisplayColor, EntryKind, ReferenceKind
from loyalty.rules.entry_kinds import display_color, entry_color
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.entries import EntryRow
from loyalty.storage.window import TimePlace
from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.connections import Order, time_order
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import load, load_all, loaded
from schema.scalars import Color, Points
from schema.types.expiry import PointsLot
from schema.types.gift_card import GiftCard
from schema.types.location import location_field
from schema.types.moving import CustomerMerge, OpeningBalance
from schema.types.node import Node, node_id, reads
from schema.types.purchase import Purchase
from schema.types.redemption import Redemption
from schema.types.who import actor_kind, actor_name

if TYPE_CHECKING:
    from schema.types.customer import Customer

LazyCustomer = Annotated["Customer", strawberry.lazy("schema.types.customer")]


@strawberry.type(description="A correction of points by hand, with who made it and why.")
class Adjustment(Node):
    is_type_of = reads(AdjustmentRow)

    id: strawberry.ID = node_id("Adjustment")
    customer: LazyCustomer = loaded("customers", "customer_id", description="The customer whose points were corrected.")
    points: Points = strawberry.field(description="Signed: what was added or, below zero, removed.")
    requested_points: Points = strawberry.field(
        description="What was asked for; differs from `points` only when a removal was clamped to what was there."
    )
    reason: AdjustmentReason = strawberry.field(description="The reason for the correction.")
    customer_description: str | None = strawberry.field(description="What the customer reads about it.")
    counts_for_tier: bool = shows("qualifying", description="Whether it counts for the tier.")
    qualifying: bool = strawberry.field(
        description="Whether it counts for the tier.", deprecation_reason=replaced_by("countsForTier")
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    location: str | None = location_field("made")

    @computed(description="The note among the team; null for customers, and for who reads reports only.")
    def internal_note(self, info: Info) -> str | None:
        """For the team only."""
        return _row(self).internal_note if reads_internals(info.context.actor) else None

    actor: str = actor_name("actor", did="made it")
    actor_kind: ActorKind = actor_kind(did="made it")


LedgerReference = Annotated[
    Union[Purchase, Adjustment, Redemption, PointsLot, CustomerMerge, OpeningBalance, GiftCard],  # noqa: UP007 - a named union needs it
    strawberry.union("LedgerReference", description="What an entry refers to. More types may come."),
]


async def _load_references(rows: list[Any], info: Any) -> list[Any]:
    """Load the object of each entry's reference, one load for each kind of object."""
    found: list[Any] = [None] * len(rows)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        loader = _REFERENCE_LOADERS.get(row.reference_kind)
        if loader is not None:
            places[loader].append(place)
    parts = await asyncio.gather(
        *(load_all(info, loader, [rows[one].reference_id for one in here]) for loader, here in places.items())
    )
    for here, part in zip(places.values(), parts, strict=True):
        for place, value in zip(here, part, strict=True):
            found[place] = value
    return found


async def _load_notes(rows: list[Any], info: Any) -> list[str | Exception | None]:
    """Return the note of each entry. The adjustments among their references are loaded in one batch."""
    reads_all = reads_internals(info.context.actor)
    notes: list[str | Exception | None] = [row.reason if reads_all else None for row in rows]
    places = [place for place, row in enumerate(rows) if row.reference_kind == ReferenceKind.ADJUSTMENT]
    if places:
        found = await load_all(info, "adjustments", [rows[place].reference_id for place in places])
        for place, adjustment in zip(places, found, strict=True):
            notes[place] = adjustment if isinstance(adjustment, Exception) else _note_of(adjustment, reads_all)
    return notes


def _note_of(adjustment: AdjustmentRow | None, reads_all: bool) -> str | None:  # noqa: FBT001 - by position
    if adjustment is None:
        return None
    return (adjustment.internal_note if reads_all else None) or adjustment.customer_description


_COLORS = {kind.value: display_color(kind) for kind in EntryKind}
_HEX_COLORS = {kind.value: entry_color(kind) for kind in EntryKind}


@strawberry.type(description="One line of the ledger. Lines are never changed; a correction is a new line.")
class LedgerEntry(Node):
    is_type_of = reads(EntryRow)

    id: strawberry.ID = node_id("LedgerEntry")
    entry_kind: EntryKind = shows("kind", description="Why points moved. More kinds may come.")
    kind: EntryKind = strawberry.field(description="Why points moved.", deprecation_reason=replaced_by("entryKind"))
    points: Points = strawberry.field(description="The points of the entry; below zero when points were taken.")
    balance_after: Points = strawberry.field(description="The sum of all the customer's entries up to this one.")
    customer: LazyCustomer = loaded("customers", "customer_id", description="The customer whose points moved.")
    occurred_at: datetime = strawberry.field(description="When the points moved.")
    actor: str = actor_name("actor_name", "actor", did="moved them")
    actor_kind: ActorKind = actor_kind(did="moved them")

    @computed(
        description="#RRGGBB: earned green, redeemed red, adjusted purple, expired grey, reversals orange.",
        resolve_all=lambda rows, _info: [Color(_HEX_COLORS[row.kind]) for row in rows],
    )
    def color(self) -> Color:
        """The colour of the kind."""
        return Color(entry_color(EntryKind(self.kind)))

    @computed(
        description="The same colour by name.",
        resolve_all=lambda rows, _info: [_COLORS[row.kind] for row in rows],
    )
    def display_color(self) -> DisplayColor:
        """The colour of the kind."""
        return display_color(EntryKind(self.kind))

    @computed(
        description="What is behind the entry; null for what cannot be opened on its own.", resolve_all=_load_references
    )
    async def reference(self, info: Info) -> LedgerReference | None:
        """Loaded for the whole page at once, one statement for each kind."""
        row = _row(self)
        loader = _REFERENCE_LOADERS.get(row.reference_kind)
        return await load(info, loader, row.reference_id) if loader else None

    @computed(
        description="Why, as far as this caller may read it: for the team the internal note of an adjustment, or the "
        "reason that was given with a refund, a return, a merge or a reassignment; for customers the description of an "
        "adjustment.",
        resolve_all=_load_notes,
    )
    async def note(self, info: Info) -> str | None:
        """For an adjustment the note is loaded; for other entries it is stored in the entry."""
        (note,) = await _load_notes([_row(self)], info)
        if isinstance(note, Exception):
            raise note
        return note


_REFERENCE_LOADERS = {
    ReferenceKind.PURCHASE: "purchases",
    ReferenceKind.ADJUSTMENT: "adjustments",
    ReferenceKind.REDEMPTION: "redemptions",
    ReferenceKind.LOT: "lots",
    ReferenceKind.CUSTOMER_MERGE: "merges",
    ReferenceKind.OPENING_BALANCE: "opening_balances",
    ReferenceKind.GIFT_CARD: "gift_cards",
}

ADJUSTMENT_ORDER: Order[TimePlace] = time_order("adjustments")
ENTRY_ORDER: Order[TimePlace] = time_order("entries")


def entry_place(row: EntryRow) -> TimePlace:
    """Return the place of an entry in a list of entries."""
    return TimePlace(row.occurred_at, row.id)


def _row(root: Any) -> Any:
    return root
