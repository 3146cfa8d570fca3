"""Change the secret of an API token or an OAuth client. The present secret still works for a time.

The credential keeps its idempotency keys, the credentials it made, and its customer tokens. A credential that changes
the secret of another credential learns the new secret. So the changed credential also ends when that one ends.
"""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.credential import is_live
from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.services.audit import note_changes
from loyalty.services.creation import Once, call_once
from loyalty.services.credential import describe_credential, find_takeover_problem, lock_credentials
from loyalty.services.fingerprint import fingerprint
from loyalty.services.world import World
from loyalty.storage.api_tokens import CLIENT, TOKEN, ApiTokenRow, change_secret, read_api_tokens_by_id
from loyalty.storage.oauth_clients import OAuthClientRow, client_row
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.retry import retry_transaction

MAX_OVERLAP_MINUTES = 7 * 24 * 60
"""The longest time that the former secret may work beside the new one."""


class SecretChange(NamedTuple):
    """The credential whose secret is changed, and how long the present secret still works."""

    id: UUID
    overlap_minutes: int
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        return fingerprint([self.id, self.overlap_minutes])


class ChangedToken(NamedTuple):
    """A token with a new secret.

    For a retry it is the token as it is now; the new secret cannot be shown again.
    """

    token: ApiTokenRow
    replayed: bool


class ChangedClient(NamedTuple):
    """An OAuth client with a new secret. For a retry it is the client as it is now."""

    client: OAuthClientRow
    replayed: bool


async def change_token_secret(world: World, actor: Actor, change: SecretChange, sha256: str) -> ChangedToken:
    """Give an API token a new secret. The present one works for the overlap; an older one stops at once.

    Refusals: InvalidInput, NotFound, IdempotencyConflict.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    once = _begin_call(actor, change, "apiTokenRotate")
    return ChangedToken(*await retry_transaction(lambda: _change(world, actor, TOKEN, change, sha256, once)))


async def change_client_secret(world: World, actor: Actor, change: SecretChange, sha256: str) -> ChangedClient:
    """Give an OAuth client a new secret. An access token ends with the secret that was used to get it.

    Refusals: as `change_token_secret`.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    once = _begin_call(actor, change, "oauthClientRotateSecret")
    row, replayed = await retry_transaction(lambda: _change(world, actor, CLIENT, change, sha256, once))
    return ChangedClient(client_row(row), replayed)


def _begin_call(actor: Actor, change: SecretChange, operation: str) -> Once:
    """Return the call that changes a secret. Raises InvalidInput for a wrong overlap or key."""
    if not 0 <= change.overlap_minutes <= MAX_OVERLAP_MINUTES:
        raise InvalidInput.one("overlap_minutes", reason=f"must be between 0 and {MAX_OVERLAP_MINUTES}")
    return call_once(actor, change.idempotency_key, operation, change.fingerprint())


async def _change(
    world: World, actor: Actor, kind: str, change: SecretChange, sha256: str, once: Once
) -> tuple[ApiTokenRow, bool]:
    """Change a secret in one transaction. Return the credential, and whether this is a retry."""
    now = world.clock()
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_credentials(tx, actor, now)
        row = (await read_api_tokens_by_id(tx, [change.id], kind)).get(change.id)
        if row is None:
            raise NotFound("API token" if kind == TOKEN else "OAuth client", ("id",))
        if await once.find_made(tx) is not None:
            return row, True
        if not is_live(row, now):
            raise InvalidInput.one("id", reason="has ended; make a new one")
        if problem := find_takeover_problem(actor, row):
            raise InvalidInput.one("id", reason=problem)
        ends_at = now + timedelta(minutes=change.overlap_minutes)
        changed = await change_secret(tx, row.id, sha256, ends_at, actor)
        await note_changes(tx, actor, now, [describe_credential(row, changed)])
        await once.keep(tx, row.id, now)
    return changed, False
