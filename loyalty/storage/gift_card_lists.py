"""Pages of gift cards by the time of issue, and the newest entries and holds of each card."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, or_, select

from loyalty.rules.gift_card import GiftCardOrigin, GiftCardState
from loyalty.rules.ids import CustomerId, GiftCardId
from loyalty.rules.redemption import HoldState
from loyalty.storage.gift_card_holds import HOLD_COLUMNS, GiftCardHoldRow, card_hold_row
from loyalty.storage.gift_cards import (
    CARD_COLUMNS,
    ENTRY_COLUMNS,
    GiftCardEntryRow,
    GiftCardRow,
    card_entry_row,
    card_row,
)
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.newest import read_newest, select_newest
from loyalty.storage.tables import gift_card_holds, gift_cards
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.reading import Reads
from tenancy.table import INSTANT, tenant_parameter

MAX_OF_A_CARD = 100
"""The number of entries, or of active holds, that are shown with one card, the newest."""


class GiftCardFilter(NamedTuple):
    """Limits a list of cards; None is no limit. ``states`` are the states at the instant ``at``."""

    holder_id: CustomerId | None = None
    buyer_id: CustomerId | None = None
    origins: Sequence[GiftCardOrigin] | None = None
    states: Sequence[GiftCardState] | None = None
    at: datetime | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


_CARDS = select(*CARD_COLUMNS).where(gift_cards.c.tenant_id == tenant_parameter())
_BY_ISSUING = Keyset((gift_cards.c.issued_at, gift_cards.c.id), descending=True)


def narrow_cards(wanted: GiftCardFilter) -> Narrowed:
    """Return the list of the cards that the filter selects, the newest issue first.

    Nothing is read yet: the caller reads a page of it, or counts it.
    """
    known, rows = gift_cards.c, Narrowed(_CARDS, _BY_ISSUING)
    rows.keep_equal(known.holder_id, wanted.holder_id)
    rows.keep_equal(known.buyer_id, wanted.buyer_id)
    rows.keep_among(known.origin, wanted.origins)
    rows.keep_within(known.issued_at, wanted.start_at, wanted.end_at)
    if wanted.states is not None:
        states = sorted(set(wanted.states))
        rows.keep(f"states_{'_'.join(states)}", partial(_in_states, tuple(states)), at=wanted.at)
    return rows


def _in_states(states: Sequence[GiftCardState]) -> ColumnElement[bool]:
    known, at = gift_cards.c, bindparam("at", type_=INSTANT)
    live = and_(known.voided_at.is_(None), or_(known.expires_at.is_(None), known.expires_at > at))
    conditions: dict[GiftCardState, ColumnElement[bool]] = {
        GiftCardState.VOIDED: known.voided_at.is_not(None),
        GiftCardState.EXPIRED: and_(known.voided_at.is_(None), known.expires_at <= at),
        GiftCardState.SPENT: and_(live, known.balance_minor == 0),
        GiftCardState.ACTIVE: and_(live, known.balance_minor > 0),
    }
    return or_(*(conditions[state] for state in states))


_ENTRIES_OF = select_newest(ENTRY_COLUMNS, "gift_card_id", ("sequence",), MAX_OF_A_CARD)
_HOLDS_OF = select_newest(
    HOLD_COLUMNS,
    "gift_card_id",
    ("created_at", "id"),
    MAX_OF_A_CARD,
    gift_card_holds.c.state == HoldState.ACTIVE,
)


async def read_card_page(tx: Reads, wanted: GiftCardFilter, window: Window[TimePlace]) -> list[GiftCardRow]:
    """Return a page of cards."""
    return [card_row(row) for row in await narrow_cards(wanted).read(tx, window)]


async def read_entries_of_cards(tx: Reads, card_ids: Sequence[GiftCardId]) -> dict[GiftCardId, list[GiftCardEntryRow]]:
    """Return the newest entries of each card, newest first."""
    return await read_newest(tx, _ENTRIES_OF, "gift_card_id", card_ids, card_entry_row)


async def read_active_holds_of_cards(
    tx: Reads, card_ids: Sequence[GiftCardId]
) -> dict[GiftCardId, list[GiftCardHoldRow]]:
    """Return the newest active holds of each card, newest first."""
    return await read_newest(tx, _HOLDS_OF, "gift_card_id", card_ids, card_hold_row)
