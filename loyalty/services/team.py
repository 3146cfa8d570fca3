"""Rules that members and roles share: who may give which role, the lock of the team, and credentials that end.

Nobody gives or takes a role with rights that they lack. Only people may: a role given by a partner system would outlive
that system.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.credential import is_live
from loyalty.rules.ids import TokenId
from loyalty.rules.location import is_scope_within
from loyalty.services.audit import note_changes
from loyalty.services.credential import describe_credential, end_made_credentials, lock_credentials
from loyalty.storage.api_tokens import CLIENT, TOKEN, ApiTokenRow, read_api_tokens, revoke_api_token
from loyalty.storage.oauth_clients import OAuthClientRow, client_row
from permissions.actor import Actor, subject_of_token
from permissions.catalog import Permission, parse_known_grants
from tenancy.database import Transaction


class EndedCredentials(NamedTuple):
    """The credentials of partner systems that ended, because a person who knows their secrets has fewer rights now."""

    api_tokens: list[ApiTokenRow]
    oauth_clients: list[OAuthClientRow]


async def lock_team(tx: Transaction, actor: Actor, now: datetime) -> Actor:
    """Lock the program, so that members and roles change one after the other.

    Return the actor with its standing of now. Refusal: PermissionDenied, if the actor was removed or has got another
    role meanwhile.
    """
    return await lock_credentials(tx, actor, now, Permission.MEMBERS_MANAGE)


async def end_credentials_beyond(
    tx: Transaction,
    by: Actor,
    subjects: Collection[str],
    allowed: Collection[Permission],
    now: datetime,
    locations: Collection[str] | None = None,
) -> EndedCredentials:
    """End the credentials with more rights than ``allowed`` whose secrets these people know.

    They are credentials of partner systems. A credential also has more rights if it works at a location outside
    ``locations``; None are all locations. A person knows a secret if they made the credential or changed its secret.
    The credentials made by an ended one end with it.
    """
    ended: dict[UUID, ApiTokenRow] = {}
    for kind in (TOKEN, CLIENT):
        for row in await read_api_tokens(tx, kind):
            is_known = row.created_by in subjects or row.rotated_by in subjects
            is_beyond = parse_known_grants(row.permissions).difference(allowed)
            is_wider = not is_scope_within(row.locations, locations)
            if row.id in ended or not (is_known and is_live(row, now) and (is_beyond or is_wider)):
                continue
            revoked = await revoke_api_token(tx, row.id, now, kind)
            if revoked is None:
                continue
            await note_changes(tx, by, now, [describe_credential(row, revoked)])
            made = await end_made_credentials(tx, by, subject_of_token(TokenId(row.id)), now)
            ended |= {one.id: one for one in (revoked, *made)}
    return EndedCredentials(
        [row for row in ended.values() if row.kind == TOKEN],
        [client_row(row) for row in ended.values() if row.kind == CLIENT],
    )
