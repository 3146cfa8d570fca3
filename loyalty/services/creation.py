"""Calls that create something and may carry an idempotency key: a retry finds what the first call made.

The caller holds the lock of the program, so two calls with one key come one after the other.
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
    """A call that is to happen once, or None for its key: then every call counts."""

    call: KeyedCall | None

    async def find_made(self, tx: Transaction) -> UUID | None:
        """What the same call made before. Refusal: IdempotencyConflict, where the key stands for another input."""
        return None if self.call is None else await read_replayed_result(tx, self.call)

    async def keep(self, tx: Transaction, result_id: UUID, now: datetime) -> None:
        """Remember what the call has made."""
        if self.call is not None:
            await keep_key(tx, self.call, result_id, now)


def call_once(by: Actor, key: str | None, operation: str, fingerprint: str) -> Once:
    """The call of an actor with an optional key. Refusal: InvalidInput for a key that is none."""
    if key is None:
        return Once(None)
    refuse_problems([check_external_id(key, ("idempotency_key",))])
    return Once(name_call(by, key, operation, fingerprint))
