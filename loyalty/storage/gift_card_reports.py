"""Sums over the ledgers of all gift cards, for a span of time."""

from datetime import datetime

from sqlalchemy import bindparam, func, select

from loyalty.rules.gift_card import GiftCardEntryKind, GiftCardOrigin
from loyalty.rules.gift_card_report import CardLiability, CardMoves, CardSales
from loyalty.storage.tables import gift_card_entries, gift_cards
from tenancy.reading import Reads
from tenancy.table import INSTANT, tenant_parameter

_start, _end = (bindparam(name, type_=INSTANT) for name in ("start_at", "end_at"))
_SALES = (
    select(
        gift_cards.c.currency,
        gift_cards.c.origin,
        func.count().label("cards"),
        func.sum(gift_cards.c.face_minor).label("face_minor"),
        func.coalesce(func.sum(gift_cards.c.points_cost), 0).label("points"),
        func.coalesce(func.sum(gift_cards.c.price_minor), 0).label("price_minor"),
    )
    .where(
        gift_cards.c.tenant_id == tenant_parameter(), gift_cards.c.issued_at >= _start, gift_cards.c.issued_at < _end
    )
    .group_by(gift_cards.c.currency, gift_cards.c.origin)
)
_amount = func.sum(gift_card_entries.c.amount_minor).label("amount_minor")
_of_tenant = gift_card_entries.c.tenant_id == tenant_parameter()
_MOVES = (
    select(gift_card_entries.c.currency, gift_card_entries.c.kind, _amount)
    .where(_of_tenant, gift_card_entries.c.occurred_at >= _start, gift_card_entries.c.occurred_at < _end)
    .group_by(gift_card_entries.c.currency, gift_card_entries.c.kind)
)
_LIABILITY = (
    select(gift_card_entries.c.currency, _amount)
    .where(_of_tenant, gift_card_entries.c.occurred_at < _end)
    .group_by(gift_card_entries.c.currency)
)


async def sum_card_sales(tx: Reads, start_at: datetime, end_at: datetime) -> list[CardSales]:
    """Sum the cards issued in ``[start_at, end_at)``, by currency and origin."""
    rows = await tx.rows(_SALES, start_at=start_at, end_at=end_at)
    # The sum of bigints is numeric, which holds any of them.
    return [
        CardSales(
            row.currency,
            GiftCardOrigin(row.origin),
            row.cards,
            int(row.face_minor),
            int(row.points),
            int(row.price_minor),
        )
        for row in rows
    ]


async def sum_card_moves(tx: Reads, start_at: datetime, end_at: datetime) -> list[CardMoves]:
    """Sum the entries of cards in ``[start_at, end_at)``, by currency and kind of entry."""
    rows = await tx.rows(_MOVES, start_at=start_at, end_at=end_at)
    return [CardMoves(row.currency, GiftCardEntryKind(row.kind), int(row.amount_minor)) for row in rows]


async def sum_card_liability(tx: Reads, end_at: datetime) -> list[CardLiability]:
    """Sum the balances of all cards just before an instant, by currency."""
    rows = await tx.rows(_LIABILITY, end_at=end_at)
    return [CardLiability(row.currency, int(row.amount_minor)) for row in rows]
