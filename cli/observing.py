"""Observe a process: begin its log, metrics and traces in one order, and end them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from runtime.logs import configure_logging
from runtime.metrics import serve_metrics_meanwhile
from runtime.problems import WrongSettings
from runtime.settings import Settings
from tenancy.tracing import Tracer


class Observers(NamedTuple):
    """The parts that observe a process; None if the settings do not want one."""

    registry: CollectorRegistry | None
    tracer: Tracer | None


@contextmanager
def observe_process(settings: Settings, process: str) -> Iterator[Observers]:
    """Serve metrics and send traces during the block, as the settings say. `process` is the name of this process."""
    with serve_metrics_meanwhile(settings, process) as registry:
        if settings.traces_url is None:
            yield Observers(registry, None)
            return
        try:
            from runtime.tracing import TraceCollector, add_trace_id, trace_to
        except ImportError as error:
            raise WrongSettings(
                "TREUE_TRACES_URL needs packages that are not installed: pip install 'treue[traces]'."
            ) from error
        configure_logging(settings.log_level, more=[add_trace_id])
        with trace_to(settings.traces_url, process, settings.traces_ratio) as tracer:
            if registry is not None:
                registry.register(TraceCollector(tracer.queue))
            yield Observers(registry, tracer)
