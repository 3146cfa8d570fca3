"""The history of an earning rule: its versions, with their changes, authors and times."""

from datetime import datetime

import strawberry
from strawberry.utils.str_converters import to_camel_case

from loyalty.storage.earning_rule_versions import RuleVersionRow
from permissions.actor import ActorKind
from schema.context import Info
from schema.fields import computed, shows
from schema.types.earning_rule import EarningAward, EarningConditions, award_of, conditions_of, summary_of
from schema.types.expiry import ExpiryPolicy
from schema.types.node import reads, row_of
from schema.types.who import known_actor_kind, known_actor_name


@strawberry.type(description="An earning rule as it was after one edit. Versions are never changed.")
class EarningRuleVersion:
    is_type_of = reads(RuleVersionRow)

    version: int = strawberry.field(description="Counts edits, from 1.")
    name: str = strawberry.field(description="Internal; customers never read it.")
    active: bool = strawberry.field(description="False while it was paused: then it never matched.")
    priority: int = strawberry.field(description="Lower comes first.")
    expiry: ExpiryPolicy | None = strawberry.field(description="When its points expire; null for as the program says.")
    starts_at: datetime | None = strawberry.field(description="In force from this instant on.")
    ends_at: datetime | None = strawberry.field(description="No longer in force at this instant.")
    changed_at: datetime = shows("created_at", description="When this edit was made.")
    actor: str | None = known_actor_name("actor_name", "actor_kind", did="made this edit")
    actor_kind: ActorKind | None = known_actor_kind("actor_kind", did="made this edit")

    @computed(description="What this edit changed: names of fields of this type. Empty for the first version.")
    def changed_fields(self) -> list[str]:
        """Compared with the version before."""
        row = row_of(RuleVersionRow, self)
        return [to_camel_case(name) for name in row.changed]

    @computed(description="The award of this version.")
    async def award(self, info: Info) -> EarningAward:
        """Amounts are in the program's currency."""
        return await award_of(info, self)

    @computed(description="When it applied; without any condition always.")
    async def conditions(self, info: Info) -> EarningConditions:
        """Amounts are in the program's currency."""
        return await conditions_of(info, self)

    @computed(description="The conditions as one readable line, in the tenant's language (German or English).")
    async def condition_summary(self, info: Info) -> str:
        """External ids are shown by their names in the catalogue."""
        return await summary_of(info, self)
