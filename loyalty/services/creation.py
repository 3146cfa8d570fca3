"""Calls that create something, with an optional idempotency key: a retry finds the object of the first call.

The caller holds the lock of the program, so two calls with one key run one after the other.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.errors import refuse_problems
from loyalty.rules.text import check_external_id
from loyalty.storage.idempotency import KeyedCall, keep_key, name_call, read_replayed_result
from permissions.actor import Actor
from tenancy.database import Transaction


class Once(NamedTuple):
    """A call that creates an object. With an idempotency key it creates the object once.

    ``call`` is None for a call without a key: each such call creates a new object.
    """

    call: KeyedCall | None

    async def find_made(self, tx: Transaction) -> UUID | None:
        """Return the id of the object that the same call created before; None if there is none.

        Raises IdempotencyConflict if the key came with another input before.
        """
        return None if self.call is None else await read_replayed_result(tx, self.call)

    async def keep(self, tx: Transaction, result_id: UUID, now: datetime) -> None:
        """Remember the id of the object that the call has created."""
        if self.call is not None:
            await keep_key(tx, self.call, result_id, now)


def call_once(by: Actor, key: str | None, operation: str, fingerprint: str) -> Once:
    """Return the call of an actor with an optional key. Raises InvalidInput for a wrong key."""
    if key is None:
        return Once(None)
    refuse_problems([check_external_id(key, ("idempotency_key",))])
    return Once(name_call(by, key, operation, fingerprint))
