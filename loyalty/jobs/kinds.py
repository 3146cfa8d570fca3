"""What a kind of job is made of: the class of its arguments, the class of its result, and its handler."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from loyalty.rules.job import JobKind
from permissions.actor import Actor
from tenancy.database import Transaction

A = TypeVar("A")
R = TypeVar("R")
W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class ClaimedJob(Generic[A, R]):
    """A job that a worker has locked for one batch."""

    arguments: A
    """What the job was asked to do."""
    result: R
    """The result of its batches so far."""
    cursor: UUID | None
    """The last item that is done; None before the first batch."""
    worker: Actor
    """The actor for everything that the batch books."""


class Step(NamedTuple, Generic[R]):
    """The outcome of one batch."""

    done: int
    """The number of items of this batch."""
    cursor: UUID | None
    """The last item that is done; the next batch begins after it."""
    finished: bool
    """Whether nothing is left."""
    result: R
    """The result of the job so far, this batch included."""


Handler = Callable[[W, Transaction, ClaimedJob[A, R]], Awaitable[Step[R]]]
"""Does one batch in the transaction that also keeps how far the job is. So a batch is done once, or not at all."""


class JobType(NamedTuple, Generic[W, A, R]):
    """A kind of job. Arguments and result are frozen dataclasses; each field of a result has a default."""

    kind: JobKind
    arguments: type[A]
    result: type[R]
    work: Handler[W, A, R]


class UnknownJob(ValueError):
    """The job has a kind that this release does not know: a newer release has added it. Leave it alone."""


def index_job_types(*job_types: JobType[W, Any, Any]) -> dict[str, JobType[W, Any, Any]]:
    """Return the job types by kind. Raises TypeError for a kind without a handler, and for a kind with two."""
    by_kind: dict[str, JobType[W, Any, Any]] = {one.kind: one for one in job_types}
    missing = [kind.name for kind in JobKind if kind not in by_kind]
    if missing or len(by_kind) != len(job_types):
        raise TypeError(f"each kind of job has one handler; without one: {', '.join(missing) or 'none'}")
    return by_kind
