"""The types of the platform's queries: tenants and its own actions."""

from datetime import datetime
from uuid import UUID

import orjson
import strawberry
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.platform import PlatformActionKind
from schema.enums import publish_enum
from tenancy.platform import PlatformActionRow
from tenancy.provisioning import ListedTenant


class TenantState(DescribedEnum):
    """Whether a tenant's credentials work."""

    ACTIVE = "ACTIVE", "They work."
    SUSPENDED = "SUSPENDED", "They are refused until the tenant is resumed. Points keep their dates meanwhile."
    CLOSED = "CLOSED", "They are refused for good. What the tenant held is kept."


publish_enum(TenantState)
publish_enum(PlatformActionKind)


@strawberry.type(name="Budget", description="What a tenant may spend of the service: points of cost.")
class PlatformBudget:
    points: int = strawberry.field(description="Points that may be spent at once.")
    per_second: int = strawberry.field(description="Points that come back each second.")


@strawberry.type(
    name="Tenant",
    description="A business on the platform, as the platform knows it: nothing of its customers, points or settings.",
)
class PlatformTenant:
    id: strawberry.ID = strawberry.field(description="The tenant's id, as `treue tenant list` prints it.")
    external_id: str | None = strawberry.field(description="What the platform's own system calls it.")
    name: str = strawberry.field(description="The name of the business.")
    state: TenantState = strawberry.field(description="Whether its credentials work.")
    loyalty_entitled: bool = strawberry.field(
        description="Whether the platform grants the loyalty module. Whether it is on is the tenant's own setting."
    )
    sandbox: bool = strawberry.field(description="Whether it is there to try things in, and may advance its clock.")
    currency: str = strawberry.field(description="ISO 4217.")
    time_zone: str = strawberry.field(description="IANA zone.")
    locale: str = strawberry.field(description="Language of the business (BCP 47).")
    budget: PlatformBudget | None = strawberry.field(
        description="Its own budget; null where that of the settings counts."
    )
    cluster: str = strawberry.field(description="The cluster where it lives; `home` where there is only one.")
    created_at: datetime = strawberry.field(description="When it was created.")


@strawberry.type(name="ActionChange", description="One field of an action, before and after.")
class PlatformActionChange:
    field: str = strawberry.field(description="Which field.")
    before: str | None = strawberry.field(description="Its value before, as JSON; null where it had none.")
    after: str | None = strawberry.field(description="Its value after, as JSON; null where it has none.")


@strawberry.type(
    name="Action",
    description="Something that the platform did. Nobody can change or delete it. A change of a tenant stands in the "
    "tenant's audit log as well.",
)
class PlatformAction:
    id: strawberry.ID = strawberry.field(description="Its id.")
    kind: PlatformActionKind = strawberry.field(description="What was done.")
    tenant_id: strawberry.ID | None = strawberry.field(
        description="The tenant that it was about; null for an action on credentials of the platform."
    )
    subject_name: str = strawberry.field(description="The name of the tenant or credential then.")
    changes: list[PlatformActionChange] = strawberry.field(description="The fields that differ, by their names.")
    happened_at: datetime = strawberry.field(description="When the platform did it.")
    actor: str = strawberry.field(description="Who did it: the name of the credential, or `Operator`.")
    actor_subject: str = strawberry.field(
        description="Who did it, by what stays the same: `platform:` and the id of the credential, or `operator`."
    )


def show_tenant(row: ListedTenant) -> PlatformTenant:
    """Return a tenant as the platform sees it."""
    points, per_second = row.budget_points, row.budget_per_second
    return PlatformTenant(
        id=strawberry.ID(str(row.tenant_id)),
        external_id=row.external_id,
        name=row.name,
        state=TenantState(row.state),
        loyalty_entitled=row.loyalty_entitled,
        sandbox=row.sandbox,
        currency=row.currency,
        time_zone=row.time_zone,
        locale=row.locale,
        budget=None if points is None or per_second is None else PlatformBudget(points=points, per_second=per_second),
        cluster=row.cluster,
        created_at=row.created_at,
    )


def show_action(row: PlatformActionRow) -> PlatformAction:
    """Return an action as the platform sees it."""
    return PlatformAction(
        id=strawberry.ID(str(row.id)),
        kind=PlatformActionKind(row.action),
        tenant_id=None if row.tenant_id is None else strawberry.ID(str(row.tenant_id)),
        subject_name=row.subject_name,
        changes=[
            PlatformActionChange(field=to_camel_case(name), before=_json(before), after=_json(after))
            for name, before, after in row.changes
        ],
        happened_at=row.happened_at,
        actor=row.actor,
        actor_subject=row.actor_subject,
    )


def parse_id(text: str) -> UUID | None:
    """Return the id in a client's text; None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
