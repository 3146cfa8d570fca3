"""The metrics of a worker process: the counts of its loops, and the lateness at its last look."""

from collections.abc import Collection, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loyalty.services.tenant_sweeps import SWEEPS
from worker.lateness import LIMITS, Lateness
from worker.tally import Tally

BATCH_OUTCOMES = ("done", "failed", "given_up")
UNFINISHED_STATES = ("WAITING", "RUNNING")


class WorkerCollector(Collector):
    """The collector of a worker's metrics.

    Every worker measures how late the work of all workers is, so all report the same lateness.
    """

    def __init__(self, loops: Collection[str], tally: Tally, lateness: Lateness) -> None:
        self._loops = list(loops)
        self._tally = tally
        self._lateness = lateness

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        yield from self._collect_lateness()
        tally = self._tally
        yield CounterMetricFamily(
            "treue_relayed_events", "Events that got their position from this worker.", value=tally.relayed_events
        )
        names = [sweep.name for sweep in SWEEPS]
        yield _counter("treue_swept", "Rows that sweeps have done, by sweep.", "sweep", names, tally.swept)
        yield _counter(
            "treue_swept_late",
            "Rows that sweeps have done later than the program of their tenant allows, by sweep.",
            "sweep",
            names,
            tally.swept_late,
        )
        yield _counter(
            "treue_failed_sweeps",
            "Batches of sweeps that failed; they are tried again.",
            "sweep",
            names,
            tally.failed_sweeps,
        )
        yield _counter(
            "treue_job_batches",
            "Batches of jobs, by how they ended (done, failed, given_up).",
            "outcome",
            BATCH_OUTCOMES,
            tally.job_batches,
        )
        rounds = GaugeMetricFamily(
            "treue_loop_idle_seconds",
            "Time since a loop of the worker has ended a round that went well.",
            labels=("loop",),
        )
        for loop in self._loops:
            rounds.add_metric((loop,), tally.seconds_since_round(loop))
        yield rounds

    def _collect_lateness(self) -> Iterator[Metric]:
        """Return the lateness at the last look; without samples before the first look."""
        look = self._lateness.last
        seconds = GaugeMetricFamily(
            "treue_late_seconds",
            "How long the oldest has waited: an event for its position (relay), a job for its next batch (jobs), "
            "a log for its readers (readers), a due row for each sweep.",
            labels=("what",),
        )
        late = GaugeMetricFamily(
            "treue_late",
            "1 while treue_late_seconds has reached its limit, else 0. The log tells when that changes.",
            labels=("what",),
        )
        jobs = GaugeMetricFamily("treue_jobs", "Unfinished jobs of all tenants, by state.", labels=("state",))
        if look is not None:
            for what in LIMITS:
                seconds.add_metric((what,), look.seconds.get(what, 0.0))
                late.add_metric((what,), float(self._lateness.is_late(what)))
            for state in UNFINISHED_STATES:
                jobs.add_metric((state,), look.jobs.get(state, 0))
        yield seconds
        yield late
        yield jobs


def _counter(name: str, meaning: str, label: str, values: Collection[str], counts: Mapping[str, int]) -> Metric:
    """Return a counter with a sample for each value of its label."""
    counter = CounterMetricFamily(name, meaning, labels=(label,))
    for value in values:
        counter.add_metric((value,), counts.get(value, 0))
    return counter
