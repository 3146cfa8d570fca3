"""Idempotency keys: kept for ever, in the same transaction as what they stand for.

A key belongs to one client and one operation, so no caller meets, blocks or learns of the keys of another. Keys from
before keys had an owner have the client ``OWNERLESS``; they are found for everybody of the tenant but its customers.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, insert, select

from loyalty.rules.errors import IdempotencyConflict
from loyalty.storage.tables import idempotency_keys
from permissions.actor import Actor, ActorKind
from tenancy.database import Transaction
from tenancy.table import among, tenant_parameter

OWNERLESS = ""
"""The client of a key from before keys had an owner. What a customer's hold had used was given to the customer."""


class IdempotencyKeyRow(NamedTuple):
    """A key as it is kept: whose it is, for which operation and request, and what came of it."""

    key: str
    operation: str
    client: str
    fingerprint: str
    result_id: UUID
    created_at: datetime


class KeyedCall(NamedTuple):
    """A call that carries an idempotency key: who asks for what.

    ``clients`` are the names whose keys count for this caller; a new key is kept under the first.
    """

    key: str
    operation: str
    fingerprint: str
    clients: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """What `KEPT_FOR_CALL` is asked with."""
        return {"key": self.key, "operation": self.operation, "mark": self.fingerprint, "clients": self.clients}

    def row(self, result_id: UUID, now: datetime) -> IdempotencyKeyRow:
        """The row that keeps the key."""
        return IdempotencyKeyRow(self.key, self.operation, self.clients[0], self.fingerprint, result_id, now)


NO_CALL = KeyedCall("", "", "", ())
"""A call without a key, such as a quote: nothing was kept for it."""


class KeptKey(NamedTuple):
    """What an idempotency key was used for."""

    fingerprint: str
    result_id: UUID


def name_call(actor: Actor, key: str, operation: str, fingerprint: str) -> KeyedCall:
    """The call of an actor that must happen once."""
    ownerless = () if actor.kind is ActorKind.CUSTOMER else (OWNERLESS,)
    return KeyedCall(key, operation, fingerprint, (*actor.clients, *ownerless))


_of_call: ColumnElement[bool] = and_(
    idempotency_keys.c.tenant_id == tenant_parameter(),
    idempotency_keys.c.key == bindparam("key", type_=Text()),
    idempotency_keys.c.operation == bindparam("operation", type_=Text()),
    among(idempotency_keys.c.client, "clients"),
)
KEPT_FOR_CALL: Select[Any] = (
    select(idempotency_keys.c.fingerprint, idempotency_keys.c.result_id)
    .where(_of_call)
    # Two customers who were merged may both have used the key: the same request goes first.
    .order_by((idempotency_keys.c.fingerprint == bindparam("mark", type_=Text())).desc(), idempotency_keys.c.created_at)
    .limit(1)
)
"""The key of a call as it was kept, at most one row; asked with `KeyedCall.parameters`."""

_KEEP = insert(idempotency_keys).values(
    tenant_id=tenant_parameter(),
    key=bindparam("key"),
    operation=bindparam("operation"),
    client=bindparam("client"),
    fingerprint=bindparam("fingerprint"),
    result_id=bindparam("result_id"),
    created_at=bindparam("created_at"),
)


async def keep_key(tx: Transaction, call: KeyedCall, result_id: UUID, now: datetime) -> None:
    """Keep a key outside of a posting, where its use is guarded by a lock."""
    await tx.run(_KEEP, **call.row(result_id, now)._asdict())


async def read_kept_key(tx: Transaction, call: KeyedCall) -> KeptKey | None:
    """What the key of a call was used for, or None when it is new for this client and operation."""
    row = await tx.row(KEPT_FOR_CALL, **call.parameters)
    return KeptKey._make(row) if row else None


async def read_replayed_result(tx: Transaction, call: KeyedCall) -> UUID | None:
    """The result that this very request had before, or None when the key is new for this client and operation.

    Raises IdempotencyConflict when the key stands for another input.
    """
    return find_replayed_result(await read_kept_key(tx, call), call)


def find_replayed_result(kept: KeptKey | None, call: KeyedCall) -> UUID | None:
    """The same for a key that was read together with other things."""
    if kept is None:
        return None
    if kept.fingerprint != call.fingerprint:
        raise IdempotencyConflict(call.key)
    return kept.result_id
