"""Read gifts by id, by card, and by giver."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select

from loyalty.rules.ids import CustomerId, GiftCardGiftId, GiftCardId
from loyalty.storage.newest import read_newest, select_newest
from loyalty.storage.tables import gift_card_gifts
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter

MAX_GIFTS = 100
"""The number of gifts of one card, or of one giver, that are shown, the newest."""


class GiftRow(NamedTuple):
    """A gift of a gift card, with the customer who claimed the card, if one did."""

    id: GiftCardGiftId
    gift_card_id: GiftCardId
    giver_id: CustomerId | None
    claimer_id: CustomerId | None
    recipient_name: str
    recipient_email: str | None
    message: str | None
    deliver_on: date | None
    given_at: datetime
    claimed_at: datetime | None
    actor_kind: str
    actor: str


_COLUMNS = [gift_card_gifts.c[name] for name in GiftRow._fields]
_BY_IDS = select(*_COLUMNS).where(gift_card_gifts.c.tenant_id == tenant_parameter(), among(gift_card_gifts.c.id, "ids"))
_OF_CARDS = select_newest(_COLUMNS, "gift_card_id", ("given_at", "id"), MAX_GIFTS)
_OF_GIVERS = select_newest(_COLUMNS, "giver_id", ("given_at", "id"), MAX_GIFTS)


async def read_gifts_by_id(tx: Reads, ids: Sequence[GiftCardGiftId]) -> dict[GiftCardGiftId, GiftRow]:
    """Return the gifts among ``ids``."""
    return {row.id: GiftRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_gifts_of_cards(tx: Reads, card_ids: Sequence[GiftCardId]) -> dict[GiftCardId, list[GiftRow]]:
    """Return the newest gifts of each card, newest first."""
    return await read_newest(tx, _OF_CARDS, "gift_card_id", card_ids, GiftRow._make)


async def read_gifts_of_givers(tx: Reads, giver_ids: Sequence[CustomerId]) -> dict[CustomerId, list[GiftRow]]:
    """Return the newest gifts of each giver, newest first."""
    return await read_newest(tx, _OF_GIVERS, "giver_id", giver_ids, GiftRow._make)
