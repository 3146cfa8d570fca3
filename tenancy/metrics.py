"""The metrics of a process's connections to PostgreSQL, made of the figures of its doors."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tenancy.database import Database
from tenancy.traffic import Door

LABELS = ("role", "door")


class _DoorMetric(NamedTuple):
    """One metric of every door: its name, its meaning, and how it is read."""

    name: str
    meaning: str
    read: Callable[[Door], float]


_GAUGES = (
    _DoorMetric("treue_database_connections", "Open connections to PostgreSQL.", lambda door: door.open_connections),
    _DoorMetric(
        "treue_database_connections_busy",
        "Connections that carry a request, or belong to a transaction.",
        lambda door: door.busy_connections,
    ),
    _DoorMetric(
        "treue_database_connections_most",
        "Connections that the settings allow.",
        lambda door: door.most_connections,
    ),
    _DoorMetric("treue_database_waiting", "Requests that wait for a connection.", lambda door: door.waiting),
    _DoorMetric(
        "treue_database_oldest_wait_seconds",
        "How long the oldest waiting request has waited for a connection.",
        lambda door: door.oldest_wait_seconds,
    ),
)
_COUNTERS = (
    _DoorMetric(
        "treue_database_round_trips",
        "Requests that were sent to PostgreSQL, each answered as a whole.",
        lambda door: door.traffic.round_trips,
    ),
    _DoorMetric(
        "treue_database_statements",
        "Statements that were sent to PostgreSQL, with those that begin a transaction or enter a tenant.",
        lambda door: door.traffic.statements,
    ),
    _DoorMetric(
        "treue_database_answer_seconds",
        "Time from sending to the answer, all round trips together.",
        lambda door: door.traffic.answer_seconds,
    ),
    _DoorMetric(
        "treue_database_waited_seconds",
        "Time that requests waited for a connection, all together.",
        lambda door: door.traffic.waited_seconds,
    ),
    _DoorMetric(
        "treue_database_refused",
        "Requests that were refused because no connection became free in time.",
        lambda door: door.traffic.refused,
    ),
    _DoorMetric(
        "treue_database_lost_connections",
        "Connections that were lost or given up.",
        lambda door: door.traffic.lost_connections,
    ),
)


class DatabaseCollector(Collector):
    """Collects the figures of the doors of several databases, each under the role with which this process uses it."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        doors = [((role, name), door) for role, used in self._databases.items() for name, door in used.doors().items()]
        for measured in _GAUGES:
            gauge = GaugeMetricFamily(measured.name, measured.meaning, labels=LABELS)
            for labels, door in doors:
                gauge.add_metric(labels, measured.read(door))
            yield gauge
        for measured in _COUNTERS:
            counter = CounterMetricFamily(measured.name, measured.meaning, labels=LABELS)
            for labels, door in doors:
                counter.add_metric(labels, measured.read(door))
            yield counter


def collect_doors(role: str, database: Database) -> Collector:
    """Return a collector for the doors of a database under one role, in each of its clusters."""
    return collect_by_cluster({name: DatabaseCollector({role: one}) for name, one in database.clusters.items()})


def collect_by_cluster(collectors: Mapping[str, Collector]) -> Collector:
    """Return a collector for several clusters: each sample gets a label with its cluster.

    With one cluster no label is added.
    """
    only, *others = collectors.values()
    return _ByCluster(collectors) if others else only


class _ByCluster(Collector):
    """Joins the metrics of the collectors of several clusters."""

    def __init__(self, collectors: Mapping[str, Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now, each once. Its samples of all clusters have a label with the cluster."""
        found: dict[str, Metric] = {}
        for cluster, collector in self._collectors.items():
            for metric in collector.collect():
                kept = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                kept.samples += [one._replace(labels={**one.labels, "cluster": cluster}) for one in metric.samples]
        yield from found.values()
