"""Background jobs and how far they are."""

from datetime import datetime

import strawberry

from loyalty.rules.job import JobState
from loyalty.storage.jobs import JobRow
from schema.types.node import Node, node_id, reads


@strawberry.type(description="Work that goes on after the answer, such as putting every customer into the right tier.")
class Job(Node):
    is_type_of = reads(JobRow)

    id: strawberry.ID = node_id("Job")
    kind: str = strawberry.field(description="What it does; RETIER puts every customer into the tier they qualify for.")
    state: JobState = strawberry.field(description="How far it has come.")
    done: int = strawberry.field(description="How many customers are done.")
    total: int = strawberry.field(description="How many there are.")
    problem: str | None = strawberry.field(description="Why it failed.")
    created_at: datetime = strawberry.field(description="When it was put in line.")
    updated_at: datetime = strawberry.field(description="When it last moved.")
