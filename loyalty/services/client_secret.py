"""Client secrets of the tenants' applications at identity providers.

They are encrypted, each is bound to its provider, and they are never shown.
"""

from typing import NamedTuple
from uuid import UUID

from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeKeyMissing, CodeUnreadable
from loyalty.storage.oidc_issuers import OidcIssuerRow, keep_client_secret, lock_client_secrets

CLIENT_SECRET_MAX_LENGTH = 255
"""The most characters of a client secret."""


class ResealedSecrets(NamedTuple):
    """How many client secrets of a tenant were sealed again, and the providers whose secrets are damaged."""

    resealed: int
    damaged: tuple[UUID, ...]


def seal_client_secret(world: World, tenant_id: TenantId, issuer_id: UUID, secret: str) -> bytes:
    """Return the secret in encrypted form."""
    return world.codes.seal_text(_name_place(tenant_id, issuer_id), secret)


def open_client_secret(world: World, tenant_id: TenantId, row: OidcIssuerRow) -> str | None:
    """Return the secret of the tenant's application at a provider; None without one. Raises CodeUnreadable."""
    if row.client_secret is None:
        return None
    return world.codes.open_text(_name_place(tenant_id, row.id), row.client_secret)


async def reseal_client_secrets(world: World, tenant_id: TenantId) -> ResealedSecrets:
    """Seal the client secrets of a tenant again under the newest key, and return which are damaged.

    Raises CodeKeyMissing for a secret whose key this process does not have.
    """
    resealed: int = 0
    damaged: list[UUID] = []
    async with world.database.tenant_transaction(tenant_id) as tx:
        for one in await lock_client_secrets(tx):
            if world.codes.is_current(one.client_secret):
                continue
            place = _name_place(tenant_id, one.id)
            try:
                text = world.codes.open_text(place, one.client_secret)
            except CodeKeyMissing:
                raise
            except CodeUnreadable:
                damaged.append(one.id)
                continue
            await keep_client_secret(tx, one._replace(client_secret=world.codes.seal_text(place, text)))
            resealed += 1
    return ResealedSecrets(resealed, tuple(damaged))


def _name_place(tenant_id: TenantId, issuer_id: UUID) -> bytes:
    """Return the bytes that a sealed secret is bound to.

    They are longer than those of a gift card's code, so neither can be opened as the other.
    """
    return b"client secret" + tenant_id.bytes + issuer_id.bytes
