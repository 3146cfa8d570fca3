"""Idempotency keys: stored for ever, in the same transaction as their result.

A key belongs to one client and one operation. So no caller meets, blocks or learns of the keys of another. Keys from
before keys had an owner have the client ``OWNERLESS``; they are found for all callers of the tenant except its
customers.
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
"""The client of a key from before keys had an owner. A key of a customer's hold was given to the customer later."""


class IdempotencyKeyRow(NamedTuple):
    """A stored key: its client, its operation, its request, and its result."""

    key: str
    operation: str
    client: str
    fingerprint: str
    result_id: UUID
    created_at: datetime


class KeyedCall(NamedTuple):
    """A call with an idempotency key: its client, its operation and its fingerprint.

    ``clients`` are the names whose keys count for this caller. A new key is stored under the first one.
    """

    key: str
    operation: str
    fingerprint: str
    clients: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of `KEPT_FOR_CALL`."""
        return {"key": self.key, "operation": self.operation, "mark": self.fingerprint, "clients": self.clients}

    def row(self, result_id: UUID, now: datetime) -> IdempotencyKeyRow:
        """Return the row that stores the key."""
        return IdempotencyKeyRow(self.key, self.operation, self.clients[0], self.fingerprint, result_id, now)


NO_CALL = KeyedCall("", "", "", ())
"""A call without a key, such as a quote: nothing is stored for it."""


class KeptKey(NamedTuple):
    """The request and the result for which a key was used."""

    fingerprint: str
    result_id: UUID


def name_call(actor: Actor, key: str, operation: str, fingerprint: str) -> KeyedCall:
    """Return the call of an actor that must happen once."""
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
    # Two merged customers may both have used the key: the key with the same request comes first.
    .order_by((idempotency_keys.c.fingerprint == bindparam("mark", type_=Text())).desc(), idempotency_keys.c.created_at)
    .limit(1)
)
"""Finds the stored key of a call, at most one row. Its parameters are `KeyedCall.parameters`."""

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
    """Store a key outside of a posting. A lock must protect its use."""
    await tx.run(_KEEP, **call.row(result_id, now)._asdict())


async def read_kept_key(tx: Transaction, call: KeyedCall) -> KeptKey | None:
    """Return what the key of a call was used for; None if it is new for this client and operation."""
    row = await tx.row(KEPT_FOR_CALL, **call.parameters)
    return KeptKey._make(row) if row else None


async def read_replayed_result(tx: Transaction, call: KeyedCall) -> UUID | None:
    """Return the earlier result of this same request; None if the key is new for this client and operation.

    Raises IdempotencyConflict if the key was used for another input.
    """
    return find_replayed_result(await read_kept_key(tx, call), call)


def find_replayed_result(kept: KeptKey | None, call: KeyedCall) -> UUID | None:
    """Return the same as `read_replayed_result`, for a key that was read together with other facts."""
    if kept is None:
        return None
    if kept.fingerprint != call.fingerprint:
        raise IdempotencyConflict(call.key)
    return kept.result_id
