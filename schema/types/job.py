"""Background jobs and how far they are."""

from datetime import datetime
from typing import Annotated, Union

import strawberry

from loyalty.rules.job import JobKind, JobState
from loyalty.rules.job import ReTierResult as ReTierResultRow
from loyalty.services.job import result_of
from loyalty.storage.jobs import JobRow
from permissions.actor import ActorKind
from schema.fields import computed, replaced_by, shows
from schema.types.node import Node, node_id, reads, row_of, show_row_if_any
from schema.types.who import known_actor_kind, known_actor_name


@strawberry.type(description="What putting customers into the right tiers did so far.")
class ReTierResult:
    is_type_of = reads(ReTierResultRow)

    upgraded: int = strawberry.field(description="Customers who came into a higher tier, or into a first one.")
    downgraded: int = strawberry.field(description="Customers who fell into a lower tier, or out of all of them.")


JobResult = Annotated[
    Union[ReTierResult],  # noqa: UP007 - a named union needs it
    strawberry.union("JobResult", description="What came of a job. More types may come."),
]


@strawberry.type(description="Work that goes on after the answer, such as putting every customer into the right tier.")
class Job(Node):
    is_type_of = reads(JobRow)

    id: strawberry.ID = node_id("Job")
    job_kind: JobKind = shows("kind", description="The kind of work that the job does.")
    job_state: JobState = shows("state", description="How far it has come.")
    done: int = strawberry.field(description="How many items are done.")
    item_count: int = shows("total", description="How many items there are: customers, for RETIER.")
    kind: str = strawberry.field(description="What it does, as a text.", deprecation_reason=replaced_by("jobKind"))
    state: JobState = strawberry.field(description="How far it has come.", deprecation_reason=replaced_by("jobState"))
    total: int = strawberry.field(description="How many items there are.", deprecation_reason=replaced_by("itemCount"))
    owner: str | None = known_actor_name("actor", "actor_kind", did="asked for it")
    owner_kind: ActorKind | None = known_actor_kind("actor_kind", did="asked for it")
    problem: str | None = strawberry.field(description="Why it failed.")
    created_at: datetime = strawberry.field(description="When it was added.")
    updated_at: datetime = strawberry.field(description="When it last moved.")

    @computed(description="What came of it so far; null before its first batch.")
    def result(self) -> JobResult | None:
        """Each kind of job has a type of its own."""
        return show_row_if_any(ReTierResult, result_of(row_of(JobRow, self)))
