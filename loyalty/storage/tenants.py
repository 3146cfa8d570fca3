"""The tenant itself, as its own people and customers may see it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, select, update

from loyalty.rules.errors import NotFound
from loyalty.rules.features import Feature
from loyalty.rules.ids import TenantId
from loyalty.rules.trusted_document import DocumentRule
from loyalty.storage.tables import programs
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import tenant_parameter
from tenancy.tables import tenants


class TenantRow(NamedTuple):
    """A tenant as clients see it."""

    id: TenantId
    name: str
    currency: str
    time_zone: str
    locale: str
    sandbox: bool
    clock_advance: timedelta
    """How far the clock of a sandbox is ahead; zero for every other tenant."""
    allowed_origins: list[str]
    """The origins of browser pages that may call."""
    loyalty_entitled: bool
    """Whether the platform grants the loyalty module."""
    features: frozenset[Feature]
    """The modules of the business that are on, the program among them."""
    document_rule: DocumentRule
    """Whom the tenant limits to trusted documents."""


_COLUMNS = (
    tenants.c.tenant_id.label("id"),
    tenants.c.name,
    tenants.c.currency,
    tenants.c.time_zone,
    tenants.c.locale,
    tenants.c.sandbox,
    tenants.c.clock_advance_seconds,
    tenants.c.allowed_origins,
    tenants.c.loyalty_entitled,
    tenants.c.features,
    tenants.c.document_rule,
    programs.c.enabled,
)
_TENANT = (
    select(*_COLUMNS)
    .select_from(tenants.outerjoin(programs, programs.c.tenant_id == tenants.c.tenant_id))
    .where(tenants.c.tenant_id == tenant_parameter())
)

_ADVANCE = (
    update(tenants).where(tenants.c.tenant_id == tenant_parameter()).values(clock_advance_seconds=bindparam("seconds"))
)
_ALLOW_ORIGINS = (
    update(tenants).where(tenants.c.tenant_id == tenant_parameter()).values(allowed_origins=bindparam("origins"))
)
_SAVE_FEATURES = update(tenants).where(tenants.c.tenant_id == tenant_parameter()).values(features=bindparam("features"))


async def read_tenant(tx: Reads) -> TenantRow:
    """The tenant of the running transaction. Refusal: NotFound."""
    row = await tx.row(_TENANT)
    if row is None:
        raise NotFound("tenant")
    on = {Feature[name] for name in row.features if name in Feature.__members__}
    features = frozenset(on | {Feature.LOYALTY} if row.enabled else on)
    ahead = timedelta(seconds=row.clock_advance_seconds)
    rule = DocumentRule[row.document_rule]
    return TenantRow._make(row[:-1])._replace(clock_advance=ahead, features=features, document_rule=rule)


async def save_features(tx: Transaction, features: Sequence[str]) -> None:
    """Replace the list of features that are on beside the program."""
    await tx.run(_SAVE_FEATURES, features=list(features))


async def advance_clock(tx: Transaction, ahead: timedelta) -> None:
    """Set how far the clock of a sandbox is ahead. The database refuses it for every other tenant."""
    await tx.run(_ADVANCE, seconds=int(ahead.total_seconds()))


async def allow_origins(tx: Transaction, origins: Sequence[str]) -> None:
    """Replace the list of origins whose pages may call."""
    await tx.run(_ALLOW_ORIGINS, origins=list(origins))
