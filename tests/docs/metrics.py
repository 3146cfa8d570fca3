"""The metrics of both processes, read from the code.

``python -m tests.docs.metrics`` writes the tables of docs/reference/metrics.md again.
"""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from api.connections import OpenConnections
from api.live import EventHub
from api.metrics import ServerCollector, ServerMetrics
from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from permissions.actor import Actor
from runtime.metrics import new_registry
from runtime.tracing import BoundedQueue, TraceCollector
from schema.errors import shown_refusals
from schema.watching import Operation, Outcome
from tenancy.database import Database
from tenancy.metrics import DatabaseCollector
from tests.docs.pages import REFERENCE, write_tables
from worker.lateness import LIMITS, Lateness, Look
from worker.main import WorkerLoops
from worker.metrics import WorkerCollector

PAGE = REFERENCE / "metrics.md"
UNITS = ("seconds", "points", "events")
SUFFIXES = {"counter": "_total", "info": "_info"}
"""What the text format adds to the names of a kind."""
NOWHERE = "postgresql://treue_app@127.0.0.1:1/treue"


def tables() -> str:
    """Return the tables as Markdown."""
    return "\n".join(
        [
            "## Server",
            "",
            *_table(server_registry()),
            "",
            "## Worker",
            "",
            *_table(worker_registry()),
            "",
            "## Traces",
            "",
            "In every process that [sends traces](../operating.md#traces).",
            "",
            *_table(trace_registry(), of_the_build=False),
            "",
            "## When something is late",
            "",
            "| `what` | late from so many seconds on |",
            "| --- | --- |",
            *(f"| `{what}` | {seconds:g} |" for what, seconds in LIMITS.items()),
        ]
    )


def server_registry() -> CollectorRegistry:
    """Return what a server registers, after one request, so that every label has a value.

    The database is never asked.
    """
    registry, database = CollectorRegistry(), Database(NOWHERE)
    metrics = ServerMetrics(registry)
    metrics.note_request("/graphql", 200, None)
    operation = Operation()
    operation.begin("query", ["viewer"])
    operation.cost = 1
    metrics.note_operation(operation, Outcome.DONE, 0.1)
    shown_refusals["NOT_FOUND"] += 0
    metrics.collect_from(
        DatabaseCollector({"app": database}), ServerCollector(_no_connections(), EventHub(World(database)))
    )
    return registry


def worker_registry() -> CollectorRegistry:
    """Return what a worker registers."""
    registry, database = CollectorRegistry(), Database(NOWHERE)
    lateness = Lateness()
    lateness.last = Look({}, {})
    registry.register(DatabaseCollector({"app": database, "relay": database}))
    registry.register(WorkerCollector(WorkerLoops().names, WorkerLoops().tally, lateness))
    return registry


def trace_registry() -> CollectorRegistry:
    """Return what a process registers that sends traces. Nothing is sent."""
    registry, queue = CollectorRegistry(), BoundedQueue("http://127.0.0.1:1/v1/traces")
    queue.close()
    registry.register(TraceCollector(queue))
    return registry


def _of_the_build() -> list[Metric]:
    return [metric for metric in new_registry("server").collect() if metric.name.startswith("treue_")]


def _no_connections() -> OpenConnections:
    async def find_fallen(_tenant_id: TenantId, _actors: Sequence[Actor]) -> set[Actor]:
        return set()

    return OpenConnections(find_fallen)


def _table(registry: CollectorRegistry, *, of_the_build: bool = True) -> Iterator[str]:
    yield from ("| metric | kind | unit | labels | meaning |", "| --- | --- | --- | --- | --- |")
    more = _of_the_build() if of_the_build else []
    for metric in sorted([*registry.collect(), *more], key=lambda it: it.name):
        labels = ", ".join(f"`{label}`" for label in _labels_of(metric)) or "-"
        name = f"{metric.name}{SUFFIXES.get(metric.type, '')}"
        yield f"| `{name}` | {metric.type} | {_unit_of(metric)} | {labels} | {metric.documentation} |"


def _labels_of(metric: Metric) -> list[str]:
    """Return the names of the labels of a metric, without those that belong to its kind."""
    return sorted({label for sample in metric.samples for label in sample.labels if label != "le"})


def _unit_of(metric: Metric) -> str:
    """Return the unit, which is the end of the name. A metric without a unit counts things."""
    return next((unit for unit in UNITS if metric.name.endswith(f"_{unit}")), "number")


if __name__ == "__main__":
    write_tables(PAGE, tables())
