"""The stored data about a customer, as JSON."""

from typing import Any

import orjson
import strawberry

from loyalty.rules.held_data import HeldSection
from loyalty.storage.held_data import HeldPlace, HeldRecord
from schema.connections import Order, id_value, whole_value
from schema.enums import publish_enum
from schema.fields import computed
from schema.scalars import Cursor
from schema.types.node import reads, row_of

publish_enum(HeldSection)

HELD_ORDER: Order[HeldPlace] = Order(
    name="export",
    values=tuple,
    place=lambda section, row_id, number: HeldPlace(whole_value(section), id_value(row_id), whole_value(number)),
)


@strawberry.type(description="One record of what is stored about a customer.")
class HeldData:
    is_type_of = reads(HeldRecord)

    section: HeldSection = strawberry.field(description="What it is. More sections may come.")

    @computed(
        description="The record as a JSON object. Names and values are those that are stored: money is in minor units, "
        "instants are in UTC, ids are UUIDs."
    )
    def json(self) -> str:
        """Written when it is asked for."""
        return orjson.dumps(row_of(HeldRecord, self).data).decode()


@strawberry.type(description="A page of an export.")
class CustomerExport:
    records: list[HeldData] = strawberry.field(description="The records, section by section.")
    end_cursor: Cursor | None = strawberry.field(description="Pass it as `after` to go on; null for an empty page.")
    has_next_page: bool = strawberry.field(description="Whether there are more records.")


def export_page(records: list[HeldRecord], end_cursor: Cursor | None, *, more: bool) -> CustomerExport:
    """Return a page as clients see it."""
    shown: list[Any] = list(records)
    return CustomerExport(records=shown, end_cursor=end_cursor, has_next_page=more)
