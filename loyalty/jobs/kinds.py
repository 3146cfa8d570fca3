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
    """What it was asked to do."""
    result: R
    """What came of its batches so far."""
    cursor: UUID | None
    """The last item that is done; None before the first batch."""
    worker: Actor
    """As whom the batch acts."""


class Step(NamedTuple, Generic[R]):
    """What one batch did."""

    done: int
    """Items of this batch."""
    cursor: UUID | None
    """Where the next batch goes on."""
    finished: bool
    """Whether nothing is left."""
    result: R
    """What came of the job, this batch included."""


Handler = Callable[[W, Transaction, ClaimedJob[A, R]], Awaitable[Step[R]]]
"""Does one batch in the transaction that also keeps how far the job is. So a batch is done once, or not at all."""


class JobType(NamedTuple, Generic[W, A, R]):
    """A kind of job. Arguments and result are frozen dataclasses; each field of a result has a default."""

    kind: JobKind
    arguments: type[A]
    result: type[R]
    work: Handler[W, A, R]


class UnknownJob(ValueError):
    """A newer release has put this job in line; taken for another kind it would do harm."""


def registry_of(*job_types: JobType[W, Any, Any]) -> dict[str, JobType[W, Any, Any]]:
    """The handlers of all kinds, by kind. Raises TypeError for a kind without a handler, and for one with two."""
    by_kind: dict[str, JobType[W, Any, Any]] = {one.kind: one for one in job_types}
    missing = [kind.name for kind in JobKind if kind not in by_kind]
    if missing or len(by_kind) != len(job_types):
        raise TypeError(f"each kind of job has one handler; without one: {', '.join(missing) or 'none'}")
    return by_kind
