"""Gifts: reading them by id, those of a card, and those of a giver."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Uuid, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from loyalty.rules.ids import CustomerId, GiftCardGiftId, GiftCardId
from loyalty.storage.tables import gift_card_gifts
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter

MAX_GIFTS = 100
"""Gifts of one card, or of one giver, that are shown: the newest."""


class GiftRow(NamedTuple):
    """A gift card that was handed to somebody, and who took it, if somebody did."""

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
_wanted = func.unnest(bindparam("wanted", type_=ARRAY(Uuid))).table_valued("id", name="wanted").render_derived()


def _newest(column: str) -> Any:
    """The newest gifts of each card or giver that is wanted."""
    newest = (
        select(*_COLUMNS)
        .where(gift_card_gifts.c.tenant_id == tenant_parameter(), gift_card_gifts.c[column] == _wanted.c.id)
        .order_by(gift_card_gifts.c.given_at.desc(), gift_card_gifts.c.id.desc())
        .limit(MAX_GIFTS)
        .correlate(_wanted)
        .lateral("newest")
    )
    return select(*newest.c).join_from(_wanted, newest, true())


_OF_CARDS, _OF_GIVERS = _newest("gift_card_id"), _newest("giver_id")


async def read_gifts_by_id(tx: Reads, ids: Sequence[GiftCardGiftId]) -> dict[GiftCardGiftId, GiftRow]:
    """The gifts among ``ids``."""
    return {row.id: GiftRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_gifts_of_cards(tx: Reads, card_ids: Sequence[GiftCardId]) -> dict[GiftCardId, list[GiftRow]]:
    """The newest gifts of each card, newest first."""
    found: dict[GiftCardId, list[GiftRow]] = {card_id: [] for card_id in card_ids}
    for row in await tx.rows(_OF_CARDS, wanted=list(card_ids)):
        found[row.gift_card_id].append(GiftRow._make(row))
    return found


async def read_gifts_of_givers(tx: Reads, giver_ids: Sequence[CustomerId]) -> dict[CustomerId, list[GiftRow]]:
    """The newest gifts of each giver, newest first."""
    found: dict[CustomerId, list[GiftRow]] = {giver_id: [] for giver_id in giver_ids}
    for row in await tx.rows(_OF_GIVERS, wanted=list(giver_ids)):
        found[row.giver_id].append(GiftRow._make(row))
    return found
