"""Read and write the stored codes of gift cards, some of a tenant's cards at a time, for a change of the keys."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, bindparam, select, update

from loyalty.rules.ids import GiftCardId
from loyalty.storage.tables import gift_cards
from tenancy.database import Transaction
from tenancy.table import encode_bytea, record_set, tenant_parameter

BEFORE_ALL_CARDS = GiftCardId(UUID(int=0))


class SealedCode(NamedTuple):
    """The stored code of a card: the hash by which it is found, and its encrypted form."""

    id: GiftCardId
    code_hash: bytes
    code_sealed: bytes


# Locked in the order of their ids, as everybody locks cards.
_SLICE = (
    select(*(gift_cards.c[name] for name in SealedCode._fields))
    .where(gift_cards.c.tenant_id == tenant_parameter(), gift_cards.c.id > bindparam("after", type_=Uuid))
    .order_by(gift_cards.c.id)
    .limit(bindparam("limit"))
    .with_for_update()
)
_seals = record_set("seals", [("id", Uuid()), ("code_hash", LargeBinary()), ("code_sealed", LargeBinary())])
_KEEP = (
    update(gift_cards)
    .where(gift_cards.c.tenant_id == tenant_parameter(), gift_cards.c.id == _seals.c.id)
    .values(code_hash=_seals.c.code_hash, code_sealed=_seals.c.code_sealed)
)


async def lock_sealed_codes(tx: Transaction, after: GiftCardId, limit: int) -> list[SealedCode]:
    """Return the codes of a tenant's next cards by their ids, and lock these cards until the transaction ends."""
    rows = await tx.rows(_SLICE, after=after, limit=limit)
    return [SealedCode(GiftCardId(row.id), bytes(row.code_hash), bytes(row.code_sealed)) for row in rows]


async def keep_sealed_codes(tx: Transaction, codes: Sequence[SealedCode]) -> None:
    """Write the new stored codes of locked cards."""
    seals = [
        {"id": str(id_), "code_hash": encode_bytea(code_hash), "code_sealed": encode_bytea(code_sealed)}
        for id_, code_hash, code_sealed in codes
    ]
    await tx.run(_KEEP, seals=seals)
