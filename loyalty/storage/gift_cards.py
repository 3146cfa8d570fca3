"""Gift cards: the facts that an operation reads before it locks, the locks, and reading by id."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, func, select, true
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.gift_card import CardAccount, GiftCardEntryKind, GiftCardOrigin
from loyalty.rules.ids import CustomerId, GiftCardEntryId, GiftCardHoldId, GiftCardId, GiftCardProductId
from loyalty.storage.cards_paid import PurchaseOfCard, purchase_of_card, read_purchase_of_card
from loyalty.storage.idempotency import KEPT_FOR_CALL, KeptKey, KeyedCall
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_locks import take_purchase
from loyalty.storage.tables import gift_card_entries, gift_cards, programs
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, among_these, tenant_parameter


class GiftCardRow(NamedTuple):
    """A gift card with its account. The code is encrypted; `code_ending` is the part that may be shown."""

    id: GiftCardId
    product_id: GiftCardProductId | None
    origin: GiftCardOrigin
    buyer_id: CustomerId | None
    holder_id: CustomerId | None
    code_hash: bytes
    code_sealed: bytes
    code_ending: str
    face_minor: int
    balance_minor: int
    held_minor: int
    currency: str
    points_cost: int | None
    price_minor: int | None
    reference: str | None
    reason: str | None
    sequence: int
    chain: bytes
    issued_at: datetime
    expires_at: datetime | None
    notice_at: datetime | None
    voided_at: datetime | None
    actor_kind: str
    actor: str

    @property
    def account(self) -> CardAccount:
        """The numbers that entries and holds move."""
        return CardAccount(
            currency=self.currency,
            balance_minor=self.balance_minor,
            held_minor=self.held_minor,
            expires_at=self.expires_at,
            voided_at=self.voided_at,
            sequence=self.sequence,
            chain=self.chain,
        )

    @property
    def owner_id(self) -> CustomerId | None:
        """The customer who is told about events of the card: its holder, else its buyer."""
        return self.holder_id or self.buyer_id

    def with_account(self, account: CardAccount) -> "GiftCardRow":
        """Return the card with new numbers."""
        return self._replace(**asdict(account))


class GiftCardEntryRow(NamedTuple):
    """One line of a card's own ledger."""

    id: GiftCardEntryId
    gift_card_id: GiftCardId
    sequence: int
    kind: GiftCardEntryKind
    amount_minor: int
    balance_after_minor: int
    currency: str
    hold_id: GiftCardHoldId | None
    expires_at: datetime | None
    reason: str | None
    occurred_at: datetime
    actor_kind: str
    actor: str
    hash: bytes


class PreparedCard(NamedTuple):
    """The facts that an operation on a card needs before it locks anything. Customers are locked before the card."""

    config_version: int
    kept_key: KeptKey | None
    card_id: GiftCardId | None
    buyer_id: CustomerId | None
    holder_id: CustomerId | None
    purchase: PurchaseOfCard = PurchaseOfCard()
    """The purchase of the operation, if it has one."""

    @property
    def customer_ids(self) -> tuple[CustomerId | None, ...]:
        """The customers to lock before the card: its buyer, its holder, and the owner of its purchase."""
        return (self.buyer_id, self.holder_id, self.purchase.customer_id)


CARD_COLUMNS = [gift_cards.c[name] for name in GiftCardRow._fields]
ENTRY_COLUMNS = [gift_card_entries.c[name] for name in GiftCardEntryRow._fields]


_CARDS = select(*CARD_COLUMNS).where(gift_cards.c.tenant_id == tenant_parameter())
_CARDS_BY_ID = _CARDS.where(among(gift_cards.c.id, "ids"))
_CARD_BY_CODE = _CARDS.where(among(gift_cards.c.code_hash, "hashes"))
_ENTRIES = select(*ENTRY_COLUMNS).where(gift_card_entries.c.tenant_id == tenant_parameter())
_ENTRIES_BY_ID = _ENTRIES.where(among(gift_card_entries.c.id, "ids"))
_DUE = (
    _CARDS.where(gift_cards.c.due_at <= bindparam("now", type_=INSTANT))
    .order_by(gift_cards.c.due_at, gift_cards.c.id)
    .limit(bindparam("limit"))
)
_NOTICES = (
    _CARDS.where(gift_cards.c.notice_at <= bindparam("now", type_=INSTANT))
    .order_by(gift_cards.c.notice_at, gift_cards.c.id)
    .limit(bindparam("limit"))
)
_LOST = select(func.coalesce(-func.sum(gift_card_entries.c.amount_minor), 0).cast(BigInteger)).where(
    gift_card_entries.c.tenant_id == tenant_parameter(),
    gift_card_entries.c.gift_card_id == bindparam("card"),
    among_these(gift_card_entries.c.kind, (GiftCardEntryKind.EXPIRED, GiftCardEntryKind.EXTENDED)),
)
# In the order of their ids, as everybody locks cards.
_LOCK = _CARDS_BY_ID.order_by(gift_cards.c.id).with_for_update()


def select_prepared_card(condition: ColumnElement[bool], tables: Any = gift_cards, more: Sequence[Any] = ()) -> Any:
    """Return the statement that reads the facts of a `PreparedCard`.

    They are the config version, the idempotency key of the call if it was kept before, and the card that is meant. The
    card is the one row of ``tables`` for which ``condition`` is true; ``tables`` is the table of cards, or a join with
    it. ``more`` are columns of ``tables`` that are read as well. Without a program there is no row. Without a card its
    columns are NULL.
    """
    kept = KEPT_FOR_CALL.subquery("kept")
    card = (
        select(gift_cards.c.id, gift_cards.c.buyer_id, gift_cards.c.holder_id, *more)
        .select_from(tables)
        .where(gift_cards.c.tenant_id == tenant_parameter(), condition)
        .limit(1)
        .subquery("card")
    )
    return (
        select(programs.c.config_version, kept.c.fingerprint, kept.c.result_id, *card.c)
        .select_from(programs.outerjoin(kept, true()).outerjoin(card, true()))
        .where(programs.c.tenant_id == tenant_parameter())
    )


_PREPARE_BY_ID = select_prepared_card(gift_cards.c.id == bindparam("card"))
_kind, _external_id = bindparam("purchase_kind", type_=Text()), bindparam("purchase_id", type_=Text())
_PREPARE_TO_HOLD = _PREPARE_BY_ID.add_columns(
    take_purchase(_kind, _external_id), *purchase_of_card(_kind, _external_id)
)


async def prepare_for_card(tx: Transaction, call: KeyedCall, card_id: GiftCardId) -> PreparedCard | None:
    """Read the facts for an operation on a card with this id; None without a program."""
    return read_prepared_card(await tx.row(_PREPARE_BY_ID, **call.parameters, card=card_id))


async def prepare_to_hold_card(
    tx: Transaction, call: KeyedCall, card_id: GiftCardId, purchase: PurchaseKey
) -> PreparedCard | None:
    """Read the facts for a new hold, and wait until no other operation begins with its purchase.

    Returns None without a program.
    """
    named = {"purchase_kind": purchase.kind, "purchase_id": purchase.external_id}
    row = await tx.row(_PREPARE_TO_HOLD, **call.parameters, **named, card=card_id)
    prepared = read_prepared_card(row)
    return prepared and prepared._replace(purchase=read_purchase_of_card(row))


def read_prepared_card(row: Any) -> PreparedCard | None:
    """Return the facts in a row of `select_prepared_card`; None without a row, because there is no program."""
    if row is None:
        return None
    kept = KeptKey(row.fingerprint, row.result_id) if row.fingerprint is not None else None
    return PreparedCard(row.config_version, kept, row.id, row.buyer_id, row.holder_id)


async def lock_cards(tx: Transaction, ids: Sequence[GiftCardId]) -> dict[GiftCardId, GiftCardRow]:
    """Lock existing cards in the order of their ids, after the accounts of customers."""
    return {row.id: card_row(row) for row in await tx.rows(_LOCK, ids=list(ids))}


async def read_due_cards(tx: Transaction, now: datetime, limit: int) -> list[GiftCardRow]:
    """Return cards whose time is over and which have something left to expire, the longest over first."""
    return [card_row(row) for row in await tx.rows(_DUE, now=now, limit=limit)]


async def read_due_card_notices(tx: Transaction, now: datetime, limit: int) -> list[GiftCardRow]:
    """Return cards with a due notice of their expiry."""
    return [card_row(row) for row in await tx.rows(_NOTICES, now=now, limit=limit)]


async def read_lost_minor(tx: Transaction, card_id: GiftCardId) -> int:
    """Return the money of a card that has expired and has not come back with an extension."""
    row = await tx.row(_LOST, card=card_id)
    return int(row[0]) if row else 0


async def read_cards_by_id(tx: Reads, ids: Sequence[GiftCardId]) -> dict[GiftCardId, GiftCardRow]:
    """Return the cards among ``ids``."""
    return {row.id: card_row(row) for row in await tx.rows(_CARDS_BY_ID, ids=list(ids))}


async def read_card_by_code(tx: Reads, hashes: Sequence[bytes]) -> GiftCardRow | None:
    """Return the card of a code, by the code's hash under one of the keys."""
    row = await tx.row(_CARD_BY_CODE, hashes=list(hashes))
    return card_row(row) if row else None


async def read_card_entries_by_id(tx: Reads, ids: Sequence[GiftCardEntryId]) -> dict[GiftCardEntryId, GiftCardEntryRow]:
    """Return the entries of cards among ``ids``."""
    return {row.id: card_entry_row(row) for row in await tx.rows(_ENTRIES_BY_ID, ids=list(ids))}


def card_row(row: Any) -> GiftCardRow:
    """Return a card from its columns."""
    made = GiftCardRow._make(row)
    return made._replace(
        origin=GiftCardOrigin(made.origin),
        code_hash=bytes(made.code_hash),
        code_sealed=bytes(made.code_sealed),
        chain=bytes(made.chain),
    )


def card_entry_row(row: Any) -> GiftCardEntryRow:
    """Return an entry of a card from its columns."""
    made = GiftCardEntryRow._make(row)
    return made._replace(kind=GiftCardEntryKind(made.kind), hash=bytes(made.hash))
