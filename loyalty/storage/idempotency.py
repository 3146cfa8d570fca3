"""Idempotency keys: kept for ever, in the same transaction as what they stand for."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select

from loyalty.rules.errors import IdempotencyConflict
from loyalty.storage.tables import idempotency_keys
from tenancy.database import Transaction
from tenancy.table import tenant_parameter


class KeptKey(NamedTuple):
    """What an idempotency key was used for."""

    operation: str
    fingerprint: str
    result_id: UUID


_BY_KEY = select(
    idempotency_keys.c.operation,
    idempotency_keys.c.fingerprint,
    idempotency_keys.c.result_id,
).where(idempotency_keys.c.tenant_id == tenant_parameter(), idempotency_keys.c.key == bindparam("key"))


_KEEP = insert(idempotency_keys).values(
    tenant_id=tenant_parameter(),
    key=bindparam("key"),
    operation=bindparam("operation"),
    fingerprint=bindparam("fingerprint"),
    result_id=bindparam("result_id"),
    created_at=bindparam("now"),
)


async def keep_key(tx: Transaction, key: str, operation: str, fingerprint: str, result_id: UUID, now: datetime) -> None:
    """Keep a key outside of a posting, where its use is guarded by a lock."""
    await tx.run(_KEEP, key=key, operation=operation, fingerprint=fingerprint, result_id=result_id, now=now)


async def read_replayed_result(tx: Transaction, key: str, operation: str, fingerprint: str) -> UUID | None:
    """The result that this very request had before, or None when the key is new.

    Raises IdempotencyConflict when the key stands for another operation or another input.
    """
    row = await tx.row(_BY_KEY, key=key)
    return replayed_result(KeptKey._make(row) if row else None, key, operation, fingerprint)


def replayed_result(kept: KeptKey | None, key: str, operation: str, fingerprint: str) -> UUID | None:
    """The same for a key that was read together with other things."""
    if kept is None:
        return None
    if (kept.operation, kept.fingerprint) != (operation, fingerprint):
        raise IdempotencyConflict(key)
    return kept.result_id
