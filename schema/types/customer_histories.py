"""The history of customers: consents to marketing, and the times when they were archived or came back."""

from datetime import datetime
from typing import Any

import strawberry

from loyalty.rules.archive import ArchiveCause
from loyalty.storage.customer_archivings import ArchivingRow
from permissions.actor import ActorKind
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed
from schema.loaders import load
from schema.types.node import reads, row_of
from schema.types.purchase import Purchase
from schema.types.redemption import Hold
from schema.types.who import actor_kind, actor_name


@strawberry.type(description="A consent to marketing that a customer gave or withdrew.")
class Consent:
    granted: bool = strawberry.field(description="True when it was given, false when it was withdrawn.")
    source: str | None = strawberry.field(description="Where the consent was given or withdrawn, as the caller put it.")
    told_at: datetime = strawberry.field(description="When the customer said so, as far as the caller told.")
    recorded_at: datetime = strawberry.field(description="When it was recorded here.")

    actor: str = actor_name("actor", did="recorded it")
    actor_kind: ActorKind = actor_kind(did="recorded it")


@strawberry.type(description="A customer was archived, or came back.")
class CustomerArchiving:
    is_type_of = reads(ArchivingRow)

    archived: bool = strawberry.field(description="True when the customer was archived, false when they came back.")
    cause: ArchiveCause = strawberry.field(
        description="Why the customer was archived or came back. More causes may come."
    )
    changed_at: datetime = strawberry.field(description="When the customer was archived or came back.")

    @computed(description="The note of the team; null for customers, and for actors who may read reports only.")
    def note(self, info: Info) -> str | None:
        """For the team only."""
        row = row_of(ArchivingRow, self)
        return row.note if reads_internals(info.context.actor) else None

    @computed(description="The purchase that brought the customer back; null for every other cause.")
    async def purchase(self, info: Info) -> Purchase | None:
        """Loaded for all rows at once."""
        found: Purchase | None = await _find_cause(info, self, ArchiveCause.PURCHASE, "purchases")
        return found

    @computed(description="The hold that brought the customer back; null for every other cause.")
    async def hold(self, info: Info) -> Hold | None:
        """Loaded for all rows at once."""
        found: Hold | None = await _find_cause(info, self, ArchiveCause.HOLD, "holds")
        return found

    actor: str = actor_name("actor")
    actor_kind: ActorKind = actor_kind()


async def _find_cause(info: Info, row: Any, cause: ArchiveCause, loader: str) -> Any:
    return await load(info, loader, row.cause_id) if row.cause == cause else None
