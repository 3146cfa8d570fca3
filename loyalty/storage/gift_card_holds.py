"""Holds of gift cards: money that is set aside at a checkout, and the captured part of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, select
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.gift_card_hold import CardHold
from loyalty.rules.ids import CustomerId, GiftCardHoldId, GiftCardId
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import HoldState
from loyalty.storage.cards_paid import PurchaseOfCard, purchase_of_card, read_purchase_of_card
from loyalty.storage.gift_cards import PreparedCard, read_prepared_card, select_prepared_card
from loyalty.storage.idempotency import KeyedCall
from loyalty.storage.known_checkouts import KnownCheckout, build_known_checkout, join_purchase, list_known_columns
from loyalty.storage.points_paid import PurchaseKey, name_purchase
from loyalty.storage.purchase_locks import take_purchase
from loyalty.storage.tables import gift_card_holds, gift_cards
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter


class GiftCardHoldRow(NamedTuple):
    """A hold of a gift card. A captured hold is a payment."""

    id: GiftCardHoldId
    gift_card_id: GiftCardId
    state: HoldState
    amount_minor: int
    currency: str
    captured_minor: int
    returned_minor: int
    purchase_kind: PurchaseKind | None
    purchase_external_id: str | None
    expires_at: datetime
    created_at: datetime
    ended_at: datetime | None
    actor_kind: str
    actor: str
    ended_actor_kind: str | None = None
    ended_actor: str | None = None
    ended_reason: str | None = None
    location: str | None = None

    @property
    def purchase(self) -> PurchaseKey | None:
        """The natural key of its purchase, if the checkout named one."""
        return name_purchase(self.purchase_kind, self.purchase_external_id)

    @property
    def numbers(self) -> CardHold:
        """The numbers by which the rules decide."""
        return CardHold(self.state, self.amount_minor, self.expires_at, self.captured_minor, self.returned_minor)


class AbandonedHold(NamedTuple):
    """A hold whose time is over, with its card, and the card's holder, else its buyer."""

    id: GiftCardHoldId
    gift_card_id: GiftCardId
    owner_id: CustomerId | None
    purchase: PurchaseOfCard


def _take_its_purchase(hold: Any) -> ColumnElement[Any]:
    """Take the lock of the purchase that a hold names, if it names one."""
    lock = take_purchase(hold.purchase_kind, hold.purchase_external_id)
    return case((hold.purchase_kind.is_not(None), lock)).label("purchase_lock")


HOLD_COLUMNS = [gift_card_holds.c[name] for name in GiftCardHoldRow._fields]
_of_its_card = (gift_cards.c.tenant_id == gift_card_holds.c.tenant_id) & (
    gift_cards.c.id == gift_card_holds.c.gift_card_id
)
_HOLDS_BY_ID = select(*HOLD_COLUMNS).where(
    gift_card_holds.c.tenant_id == tenant_parameter(), among(gift_card_holds.c.id, "ids")
)
_HOLD_WITH_PURCHASE = (
    select(*HOLD_COLUMNS, *list_known_columns(gift_card_holds.c.purchase_kind, gift_card_holds.c.purchase_external_id))
    .select_from(
        join_purchase(gift_card_holds.c.purchase_kind, gift_card_holds.c.purchase_external_id, gift_card_holds)
    )
    .where(gift_card_holds.c.tenant_id == tenant_parameter(), gift_card_holds.c.id == bindparam("hold"))
)
_ITS_PURCHASE = purchase_of_card(gift_card_holds.c.purchase_kind, gift_card_holds.c.purchase_external_id)
_PREPARE_BY_HOLD = select_prepared_card(
    (gift_card_holds.c.tenant_id == tenant_parameter()) & (gift_card_holds.c.id == bindparam("hold")),
    gift_cards.join(gift_card_holds, _of_its_card),
    [*_ITS_PURCHASE, _take_its_purchase(gift_card_holds.c)],
)
# A hold changes only under the lock of its card, so it is read after that lock.
_ABANDONED = (
    select(
        gift_card_holds.c.id,
        gift_card_holds.c.gift_card_id,
        gift_cards.c.buyer_id,
        gift_cards.c.holder_id,
        gift_card_holds.c.purchase_kind,
        gift_card_holds.c.purchase_external_id,
        *_ITS_PURCHASE,
    )
    .join_from(gift_card_holds, gift_cards, _of_its_card)
    .where(
        gift_card_holds.c.tenant_id == tenant_parameter(),
        gift_cards.c.tenant_id == tenant_parameter(),
        gift_card_holds.c.state == HoldState.ACTIVE,
        gift_card_holds.c.expires_at <= bindparam("now", type_=INSTANT),
    )
    .order_by(gift_card_holds.c.expires_at, gift_card_holds.c.id)
    .limit(bindparam("limit"))
    .subquery("abandoned")
)
# Only the purchases of these holds are locked.
_ABANDONED_LOCKED = select(_ABANDONED, _take_its_purchase(_ABANDONED.c)).order_by(_ABANDONED.c.id)


async def prepare_for_card_hold(tx: Transaction, call: KeyedCall, hold_id: GiftCardHoldId) -> PreparedCard | None:
    """Read the facts for an operation on a hold, and wait until no transaction records its purchase.

    Returns None without a program.
    """
    row = await tx.row(_PREPARE_BY_HOLD, **call.parameters, hold=hold_id)
    prepared = read_prepared_card(row)
    if prepared is None or prepared.card_id is None:
        return prepared
    return prepared._replace(purchase=read_purchase_of_card(row))


async def read_card_holds_by_id(tx: Reads, ids: Sequence[GiftCardHoldId]) -> dict[GiftCardHoldId, GiftCardHoldRow]:
    """Return the holds of cards among ``ids``."""
    return {row.id: card_hold_row(row) for row in await tx.rows(_HOLDS_BY_ID, ids=list(ids))}


async def read_card_hold_with_purchase(
    tx: Transaction, hold_id: GiftCardHoldId
) -> tuple[GiftCardHoldRow, KnownCheckout]:
    """Return an existing hold, with the known facts about the purchase for which it pays."""
    (row,) = await tx.rows(_HOLD_WITH_PURCHASE, hold=hold_id)
    return card_hold_row([getattr(row, name) for name in GiftCardHoldRow._fields]), build_known_checkout(row)


async def read_abandoned_card_holds(tx: Transaction, now: datetime, limit: int) -> list[AbandonedHold]:
    """Return up to ``limit`` active holds of cards whose time is over, the longest over, in the order of their ids.

    Take the locks of their purchases.
    """
    found = await tx.rows(_ABANDONED_LOCKED, now=now, limit=limit)
    return [
        AbandonedHold(row.id, row.gift_card_id, row.holder_id or row.buyer_id, read_purchase_of_card(row))
        for row in found
    ]


def card_hold_row(row: Any) -> GiftCardHoldRow:
    """Return a hold of a card from its columns."""
    made = GiftCardHoldRow._make(row)
    kind = PurchaseKind(made.purchase_kind) if made.purchase_kind else None
    return made._replace(state=HoldState(made.state), purchase_kind=kind)
