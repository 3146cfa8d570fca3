"""What the loops of a worker have done since the process started, and who is told of each round while it lasts.

The loops count always; metrics read it.
"""

import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from loyalty.rules.ids import TenantId
from tenancy.tracing import Round, Span, Tracer, enter_span, trace


@dataclass(slots=True)
class Tally:
    """Counts of one worker process."""

    tracer: Tracer | None = None
    """Who is told of each round."""
    started_at: float = field(default_factory=time.monotonic)
    relayed_events: int = 0
    swept: Counter[str] = field(default_factory=Counter)
    """Rows that were done, by sweep."""
    swept_late: Counter[str] = field(default_factory=Counter)
    """Rows that were done later than the program of their tenant allows, by sweep."""
    failed_sweeps: Counter[str] = field(default_factory=Counter)
    """Batches that failed, by sweep."""
    job_batches: Counter[str] = field(default_factory=Counter)
    """Batches of jobs, by how they ended: done, failed (it is tried again), given_up."""
    round_ended_at: dict[str, float] = field(default_factory=dict)
    """When each loop ended its last round that went well (`time.monotonic`)."""

    def trace_round(self, loop: str) -> AbstractContextManager[Round | None]:
        """A span for the round of a loop."""
        return enter_span(None if self.tracer is None else self.tracer.begin_round(f"{loop} round"))

    def trace_work(self, name: str, tenant_id: TenantId) -> AbstractContextManager[Span | None]:
        """A span for what a round does in one tenant."""
        return trace(self.tracer, name, tenant_id=str(tenant_id))

    def note_round(self, loop: str) -> None:
        """A round of a loop went well."""
        self.round_ended_at[loop] = time.monotonic()

    def seconds_since_round(self, loop: str) -> float:
        """How long a loop has had no round that went well; from the start of the process where there was none."""
        return time.monotonic() - self.round_ended_at.get(loop, self.started_at)
