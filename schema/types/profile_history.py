"""Changes of a customer's profile: the field, its values before and after, the actor and the time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from loyalty.rules.profile_history import ProfileField
from loyalty.storage.profile_changes import ProfileChangeRow
from loyalty.storage.window import TimePlace
from permissions.actor import ActorKind
from schema.connections import Order, time_order
from schema.fields import computed, shows
from schema.types.node import reads, row_of
from schema.types.who import actor_kind, actor_name

PROFILE_CHANGE_ORDER: Order[TimePlace] = time_order("profile changes")

_VALUE = "Identifiers and tags stand one after another with `, ` between them, an identifier as `CARD 1234`."


@strawberry.type(description="A field of a customer that was told otherwise than before.")
class ProfileChange:
    is_type_of = reads(ProfileChangeRow)

    profile_field: ProfileField = shows("field", description="Which field.")
    told_at: datetime = strawberry.field(description="Since when it is so, as far as the caller told.")
    recorded_at: datetime = strawberry.field(description="When it was recorded here.")
    actor: str = actor_name("actor", did="told it")
    actor_kind: ActorKind = actor_kind(did="told it")

    @computed(description=f"Its value before; null where it had none. {_VALUE}")
    def before(self) -> str | None:
        """As a text."""
        return _show(row_of(ProfileChangeRow, self).before)

    @computed(description=f"Its value since; null where it has none. {_VALUE}")
    def after(self) -> str | None:
        """As a text."""
        return _show(row_of(ProfileChangeRow, self).after)


def _show(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return ", ".join(f"{one['type']} {one['value']}" if isinstance(one, Mapping) else str(one) for one in value)
