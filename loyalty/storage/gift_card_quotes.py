"""Read the gift cards for a checkout, with the money that they have already set aside for it."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, cast, func, or_, select

from loyalty.rules.ids import GiftCardId
from loyalty.rules.redemption import HoldState
from loyalty.storage.gift_cards import CARD_COLUMNS, GiftCardRow, card_row
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.tables import gift_card_holds, gift_cards
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class CardToPay(NamedTuple):
    """A card, and the money that its active holds set aside for one purchase."""

    card: GiftCardRow
    held_minor: int


_HELD = (
    select(func.coalesce(func.sum(gift_card_holds.c.amount_minor), 0))
    .where(
        gift_card_holds.c.tenant_id == tenant_parameter(),
        gift_card_holds.c.gift_card_id == gift_cards.c.id,
        gift_card_holds.c.state == HoldState.ACTIVE,
        gift_card_holds.c.purchase_kind == bindparam("kind", type_=Text()),
        gift_card_holds.c.purchase_external_id == bindparam("external_id", type_=Text()),
    )
    .scalar_subquery()
)
_CARDS_TO_PAY = select(*CARD_COLUMNS, cast(_HELD, BigInteger).label("held_for_purchase")).where(
    gift_cards.c.tenant_id == tenant_parameter(),
    or_(among(gift_cards.c.id, "ids"), among(gift_cards.c.code_hash, "hashes")),
)


async def read_cards_to_pay(
    tx: Reads, ids: Sequence[GiftCardId], hashes: Sequence[bytes], purchase: PurchaseKey | None
) -> list[CardToPay]:
    """Return the cards with these ids, and the cards with these hashes of a code."""
    kind, external_id = purchase or ("", "")
    rows = await tx.rows(_CARDS_TO_PAY, ids=list(ids), hashes=list(hashes), kind=kind, external_id=external_id)
    return [CardToPay(card_row(row[:-1]), row.held_for_purchase) for row in rows]
