"""How long a tenant keeps personal data, and what that removes."""

from datetime import datetime
from typing import Annotated

import strawberry

from loyalty.services.retention import RetentionOutlook as OutlookRow
from loyalty.services.retention import TenantRetention, get_outlook
from schema.context import Info
from schema.fields import computed
from schema.types.node import reads, show_row


@strawberry.type(description="What a retention of customers removes.")
class RetentionOutlook:
    is_type_of = reads(OutlookRow)

    inactive_months: int = strawberry.field(description="The months without activity that this is about.")
    begins_at: datetime = strawberry.field(
        description="Nobody is erased before: 30 days after the setting was made stricter. For a setting that is not "
        "in force, 30 days from now, if it is stricter."
    )
    due_count: int = strawberry.field(
        description="How many customers are due to be erased when it begins, or now if it has begun, and nobody does "
        "anything for them until then; of the first 10,000 without points. Who is kept is not among them."
    )
    next_due_at: datetime | None = strawberry.field(
        description="When the first customer is due whom nothing keeps now; null without such a customer. The erasure "
        "follows within a day."
    )


@strawberry.type(description="How long a tenant keeps personal data.")
class Retention:
    is_type_of = reads(TenantRetention)

    inactive_months: int | None = strawberry.field(
        description="After how many months without activity a customer is erased; null for never."
    )
    profile_history_months: int | None = strawberry.field(
        description="After how many months a change in the profile history of a customer is deleted; null for never."
    )
    begins_at: datetime | None = strawberry.field(
        description="Nothing is removed before: 30 days after a setting was made stricter. Null while nothing is "
        "removed at all."
    )

    @computed(
        description="Which customers are erased next. With `inactiveMonths`, what another setting would erase, to look "
        "before it is switched on. Null where nobody would be."
    )
    async def outlook(
        self,
        info: Info,
        inactive_months: Annotated[
            int | None,
            strawberry.argument(description="Look at this number of months, 6 to 120, as if it were set now."),
        ] = None,
    ) -> RetentionOutlook | None:
        """Nothing is removed by looking."""
        found = await get_outlook(info.context.world, info.context.actor, inactive_months)
        return None if found is None else show_row(RetentionOutlook, found)
