"""Arguments that many fields share, described once."""

from typing import Annotated

import strawberry

from loyalty.rules.listing import OrderDirection
from schema.scalars import Cursor

First = Annotated[
    int | None,
    strawberry.argument(description="How many rows from the beginning or after `after`: 1 to 100, default 20."),
]
After = Annotated[Cursor | None, strawberry.argument(description="Only rows after this cursor.")]
Last = Annotated[
    int | None, strawberry.argument(description="How many rows before `before` or from the end: 1 to 100, default 20.")
]
Before = Annotated[Cursor | None, strawberry.argument(description="Only rows before this cursor.")]
NewestFirst = Annotated[
    OrderDirection, strawberry.argument(description="DESCENDING has the newest first, ASCENDING the oldest.")
]
