"""The metrics of a process that serves an API. Labels take values from fixed lists, never values that a caller sent.

No label names a tenant, a person or an operation of a caller. So the number of series does not grow with traffic.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence

from graphql import GraphQLError
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.connections import OpenConnections
from api.live import EventHub
from api.operation import Transport
from api.protocols import BoundedHttpProtocol
from api.streams import EventStream
from schema.errors import shown_refusals
from schema.masking import ErrorCode
from schema.watching import UNREAD, Operation, Outcome

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the durations that are counted together."""

POINTS = (1, 10, 50, 100, 500, 1_000, 5_000, 20_000)
"""Upper bounds of the costs that are counted together."""

LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAG_LOOK_SECONDS = 0.5
"""The time between two measurements of how late the event loop runs."""

KINDS = ("query", "mutation", "subscription", UNREAD)


class ServerMetrics:
    """The counters of a process that serves an API. It is called for every request and operation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "treue_http_requests",
            "Requests that were answered, by route and HTTP status. A socket is one request, with status 101.",
            ("route", "status"),
            registry=registry,
        )
        self._operations = Counter(
            "treue_operations",
            "GraphQL operations that have ended, by transport, kind and outcome (done, failed, refused).",
            ("transport", "kind", "outcome"),
            registry=registry,
        )
        self._operation_seconds = Histogram(
            "treue_operation_seconds",
            "Time from reading the document of a query or mutation to its result, unless it was over its budget.",
            ("kind",),
            buckets=SECONDS,
            registry=registry,
        )
        self._root_fields = Counter(
            "treue_root_fields",
            "Operations that ended, by each root field of our schema that they name, and outcome.",
            ("field", "outcome"),
            registry=registry,
        )
        self._cost_points = Histogram(
            "treue_operation_cost_points",
            "Points that operations cost, also those that were refused for their cost.",
            ("kind",),
            buckets=POINTS,
            registry=registry,
        )
        self._budget_refusals = Counter(
            "treue_budget_refusals",
            "Operations that were refused because too little of a budget was left.",
            registry=registry,
        )
        self._errors = Counter(
            "treue_errors", "Top-level errors that callers were shown, by their code.", ("code",), registry=registry
        )
        self._lag_seconds = Histogram(
            "treue_event_loop_lag_seconds",
            f"How late the event loop came to a look that was due, measured every {LAG_LOOK_SECONDS} s.",
            buckets=LAG_SECONDS,
            registry=registry,
        )
        registry.register(EdgeCollector())
        for code in ErrorCode:
            self._errors.labels(code.value)
        for kind in KINDS:
            self._operation_seconds.labels(kind)
            for transport in Transport:
                for outcome in Outcome:
                    self._operations.labels(transport.value.lower(), kind, outcome.value)

    def collect_from(self, *collectors: Collector) -> None:
        """Add the metrics of these collectors."""
        for collector in collectors:
            self._registry.register(collector)

    def note_request(self, route: str, status: int | None, error_code: str | None) -> None:
        """Count an HTTP request, or a socket. Without a status, its caller left before it was answered."""
        self._requests.labels(route, "none" if status is None else str(status)).inc()
        if error_code is not None:
            self._errors.labels(error_code).inc()

    def note_errors(self, errors: Sequence[GraphQLError]) -> None:
        """Count the top-level errors of a result."""
        for error in errors:
            code = (error.extensions or {}).get("code")
            if code is not None:
                self._errors.labels(code).inc()

    def note_operation(self, operation: Operation, outcome: Outcome, seconds: float) -> None:
        """Count an operation.

        A subscription gets no duration: it lasts as long as its reader stays. An operation over its budget gets none
        either: its refusal may be delayed.
        """
        self._operations.labels(operation.transport, operation.kind, outcome.value).inc()
        for field in operation.fields:
            self._root_fields.labels(field, outcome.value).inc()
        if operation.kind != "subscription" and not operation.is_over_budget:
            self._operation_seconds.labels(operation.kind).observe(seconds)
        if operation.cost is not None:
            self._cost_points.labels(operation.kind).observe(operation.cost)
        if operation.is_over_budget:
            self._budget_refusals.inc()

    async def watch_loop(self) -> None:
        """Measure how late the event loop runs, again and again until cancelled."""
        while True:
            due = time.perf_counter() + LAG_LOOK_SECONDS
            await asyncio.sleep(LAG_LOOK_SECONDS)
            self._lag_seconds.observe(max(0.0, time.perf_counter() - due))


class EdgeCollector(Collector):
    """Collects the refusals of the edge, and the connections above the limit, for every process that serves an API."""

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        yield CounterMetricFamily(
            "treue_refused_connections",
            "Connections that were refused because the process held as many as it can.",
            value=BoundedHttpProtocol.refused_connections,
        )
        refusals = CounterMetricFamily(
            "treue_user_errors", "Refusals that callers were shown in `userErrors`, by their code.", labels=("code",)
        )
        for code, count in list(shown_refusals.items()):
            refusals.add_metric((code,), count)
        yield refusals


class ServerCollector(Collector):
    """Collects how many connections, subscriptions and unread events there are now.

    Another thread than the serving one calls it, so it reads copies.
    """

    def __init__(self, connections: OpenConnections, hub: EventHub) -> None:
        self._connections = connections
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        held = self._connections.list_open()
        streams = sum(isinstance(one, EventStream) for one in held)
        connections = GaugeMetricFamily(
            "treue_open_connections", "Connections that stay open, by kind (socket, event_stream).", labels=("kind",)
        )
        connections.add_metric(("socket",), len(held) - streams)
        connections.add_metric(("event_stream",), streams)
        yield connections
        followed = self._hub.measure()
        yield GaugeMetricFamily(
            "treue_subscriptions", "Subscriptions that follow a log of events live.", value=followed.followers
        )
        yield GaugeMetricFamily(
            "treue_followed_tenants", "Tenants whose log somebody follows live.", value=followed.tenants
        )
        yield GaugeMetricFamily(
            "treue_subscription_backlog_events",
            "Events that wait for readers of subscriptions, all together.",
            value=followed.backlog_events,
        )
        yield CounterMetricFamily(
            "treue_slow_readers",
            "Subscriptions that were cut off because their reader was too slow.",
            value=followed.slow_readers,
        )
