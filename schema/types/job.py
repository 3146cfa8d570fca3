"""Background jobs and how far they are."""

from datetime import datetime

import strawberry

from loyalty.rules.job import JobKind, JobState
from loyalty.storage.jobs import JobRow
from schema.fields import replaced_by, shows
from schema.types.node import Node, node_id, reads


@strawberry.type(description="Work that goes on after the answer, such as putting every customer into the right tier.")
class Job(Node):
    is_type_of = reads(JobRow)

    id: strawberry.ID = node_id("Job")
    job_kind: JobKind = shows("kind", description="What it does.")
    job_state: JobState = shows("state", description="How far it has come.")
    done: int = strawberry.field(description="How many items are done.")
    item_count: int = shows("total", description="How many items there are: customers, for RETIER.")
    kind: str = strawberry.field(description="What it does, as a text.", deprecation_reason=replaced_by("jobKind"))
    state: JobState = strawberry.field(description="How far it has come.", deprecation_reason=replaced_by("jobState"))
    total: int = strawberry.field(description="How many items there are.", deprecation_reason=replaced_by("itemCount"))
    problem: str | None = strawberry.field(description="Why it failed.")
    created_at: datetime = strawberry.field(description="When it was put in line.")
    updated_at: datetime = strawberry.field(description="When it last moved.")
