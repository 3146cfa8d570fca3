"""Count the work of a worker's loops since the process started, and trace each round.

The loops always count; metrics read the counts.
"""

import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from loyalty.rules.ids import TenantId
from tenancy.tracing import Round, Span, Tracer, enter_span, trace


@dataclass(slots=True)
class Tally:
    """The counts of one worker process."""

    tracer: Tracer | None = None
    """Records the spans of each round."""
    started_at: float = field(default_factory=time.monotonic)
    relayed_events: int = 0
    swept: Counter[str] = field(default_factory=Counter)
    """Rows that were done, by sweep."""
    swept_late: Counter[str] = field(default_factory=Counter)
    """Rows that were done later than the program of their tenant allows, by sweep."""
    failed_sweeps: Counter[str] = field(default_factory=Counter)
    """Batches that failed, by sweep."""
    job_batches: Counter[str] = field(default_factory=Counter)
    """Batches of jobs, by their end: done, failed (tried again), given_up."""
    round_ended_at: dict[str, float] = field(default_factory=dict)
    """When each loop ended its last successful round (`time.monotonic`)."""

    def trace_round(self, loop: str) -> AbstractContextManager[Round | None]:
        """Return a span for the round of a loop."""
        return enter_span(None if self.tracer is None else self.tracer.begin_round(f"{loop} round"))

    def trace_work(self, name: str, tenant_id: TenantId) -> AbstractContextManager[Span | None]:
        """Return a span for the work of a round in one tenant."""
        return trace(self.tracer, name, tenant_id=str(tenant_id))

    def note_round(self, loop: str) -> None:
        """Note that a round of a loop was successful."""
        self.round_ended_at[loop] = time.monotonic()

    def seconds_since_round(self, loop: str) -> float:
        """Return the seconds since the last successful round of a loop; without one, since the start of the process."""
        return time.monotonic() - self.round_ended_at.get(loop, self.started_at)
