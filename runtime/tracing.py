"""Traces, sent by OTLP over HTTP to the collector in the settings. Without a collector nothing here is imported.

Spans wait in a limited queue, and a thread sends them. So a slow or missing collector costs the process only the memory
of that queue: a span that does not fit is dropped and counted.
"""

import contextlib
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

import structlog
from opentelemetry import context as current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN,
    INVALID_TRACE_ID,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import Tracer as OtelTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.typing import EventDict

MAX_WAITING_SPANS = 8_192
"""The number of spans that wait to be sent. One more is dropped."""
MAX_SPANS_AT_ONCE = 512
"""Spans of one request to the collector."""
MAX_HELD_SPANS = 2_000
"""The number of held-back spans of worker rounds that have not ended. With one more, the held spans are sent at
once."""
SEND_EVERY_SECONDS = 1.0
ANSWER_SECONDS = 5.0
"""The time for one request to the collector, with all attempts."""
FLUSH_SECONDS = 3.0
"""The time that an ending process waits until its last spans are sent."""

FULL, NOT_TAKEN = "queue_full", "not_taken"
"""Why spans are dropped: too many waited, or the collector did not take them."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.traces")


class _Reason(logging.Handler):
    """Remembers the last message of the exporter for this service's own log line."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


class _CountedExporter(SpanExporter):
    """Sends spans, and counts those that the collector accepts and those that it does not. A change is logged."""

    def __init__(self, url: str) -> None:
        self._reason = _Reason()
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self._reason)
        logger.propagate = False  # it would say the same of every batch
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=ANSWER_SECONDS)
        self._is_away = False
        self.begun = self.sent = self.not_taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some spans."""
        self.begun += len(spans)
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            if self._is_away:
                log.info("traces are taken again", dropped=self.not_taken)
        else:
            self.not_taken += len(spans)
            if not self._is_away:
                log.warning("traces are not taken", reason=self._reason.last)
        self._is_away = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Stop sending."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class BoundedQueue(SpanProcessor):
    """Holds ended spans until they are sent, up to a limit.

    Spans of a worker's round are held back until the round has ended.
    """

    def __init__(self, url: str) -> None:
        self._exporter = _CountedExporter(url)
        self._batches = BatchSpanProcessor(
            self._exporter,
            max_queue_size=MAX_WAITING_SPANS,
            max_export_batch_size=MAX_SPANS_AT_ONCE,
            schedule_delay_millis=1_000 * SEND_EVERY_SECONDS,
        )
        self._rounds: dict[int, list[ReadableSpan]] = {}
        self._taken = 0
        self.full = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        trace_id = INVALID_TRACE_ID if span.context is None else span.context.trace_id
        held = self._rounds.get(trace_id)
        if held is None:
            self._take(span)
        elif len(held) < MAX_HELD_SPANS:
            held.append(span)
        else:
            self.end_round(trace_id, forgotten=False)
            self._take(span)

    def hold_back(self, trace_id: int) -> None:
        """Hold back the spans of a trace until its round has ended."""
        self._rounds[trace_id] = []

    def end_round(self, trace_id: int, *, forgotten: bool) -> None:
        """Queue the spans of a round that has ended, or drop them if the round had nothing to do."""
        held = self._rounds.pop(trace_id, [])
        if forgotten and not any(map(_is_work, held)):
            return
        for span in held:
            self._take(span)

    def _take(self, span: ReadableSpan) -> None:
        if self.waiting >= MAX_WAITING_SPANS:
            self.full += 1
            return
        self._taken += 1
        self._batches.on_end(span)

    @property
    def waiting(self) -> int:
        """The number of spans that wait to be sent."""
        return self._taken - self._exporter.begun

    @property
    def sent(self) -> int:
        """The number of spans that the collector has accepted."""
        return self._exporter.sent

    @property
    def not_taken(self) -> int:
        """The number of spans that the collector has not accepted."""
        return self._exporter.not_taken

    def close(self) -> None:
        """Send the waiting spans, for a few seconds at most."""
        closing = threading.Thread(target=self._batches.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(FLUSH_SECONDS)


def _is_work(span: ReadableSpan) -> bool:
    """Return whether a span of a round is work of its own: it is neither the round nor a statement."""
    return span.kind is SpanKind.INTERNAL and span.parent is not None


class ProcessSpan:
    """One span of this process."""

    __slots__ = ("_span",)

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        """Change the name of the span when the name is known."""
        if self._span.is_recording():
            self._span.update_name(name)

    def note(self, name: str, value: Any) -> None:
        """Note one attribute."""
        if self._span.is_recording():
            self._span.set_attribute(name, value)

    def fail(self, error_type: str) -> None:
        """Say that the work failed, and with what."""
        if self._span.is_recording():
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(Status(StatusCode.ERROR))

    def within(self) -> AbstractContextManager[None]:
        """Let spans that begin in the block be parts of this span."""
        return _attach_context(set_span_in_context(self._span))

    def end(self) -> None:
        """End the span. A second call changes nothing."""
        if self._span.is_recording():
            self._span.end()


class ProcessRound(ProcessSpan):
    """A round of a loop: its spans are held back until it has ended."""

    __slots__ = ("_forgotten", "_queue")

    def __init__(self, span: OtelSpan, queue: BoundedQueue) -> None:
        super().__init__(span)
        self._queue = queue
        self._forgotten = False
        if span.is_recording():
            queue.hold_back(span.get_span_context().trace_id)

    def forget(self) -> None:
        """Drop the spans of the round, because it had nothing to do.

        They are kept if a part of it was work of its own.
        """
        self._forgotten = True

    def end(self) -> None:
        """End the round."""
        super().end()
        self._queue.end_round(self._span.get_span_context().trace_id, forgotten=self._forgotten)


class ProcessTracer:
    """Records the spans of this process."""

    def __init__(self, tracer: OtelTracer, queue: BoundedQueue) -> None:
        self._tracer = tracer
        self.queue = queue
        self._callers = TraceContextTextMapPropagator()

    def begin(self, name: str, kind: str) -> ProcessSpan:
        """Begin a span. It is part of the span around it, or of the trace that is continued here."""
        return ProcessSpan(self._tracer.start_span(name, kind=SpanKind[kind]))

    def begin_part(self, name: str, kind: str) -> ProcessSpan | None:
        """Begin a span that is part of the span around it; None if nothing is recorded."""
        return self.begin(name, kind) if get_current_span().is_recording() else None

    def begin_round(self, name: str) -> ProcessRound:
        """Begin a span with a trace of its own. Nothing is sent before the round ends."""
        return ProcessRound(self._tracer.start_span(name, set_span_in_context(INVALID_SPAN)), self.queue)

    def continue_trace(self, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        """Let spans that begin in the block be parts of a caller's trace: `traceparent` and `tracestate`.

        A trace that does not have W3C's form is ignored.
        """
        return _attach_context(self._callers.extract(headers, set_span_in_context(INVALID_SPAN)))


@contextlib.contextmanager
def _attach_context(context: current.Context) -> Iterator[None]:
    before = current.attach(context)
    try:
        yield
    finally:
        current.detach(before)


def add_trace_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the id of the current trace to a line of the log."""
    span = get_current_span()
    context = span.get_span_context()
    has_ended = context.trace_flags.sampled and not context.is_remote and not span.is_recording()
    if context.is_valid and not has_ended:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


class TraceCollector(Collector):
    """The metrics of the queue of spans."""

    def __init__(self, queue: BoundedQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        yield GaugeMetricFamily("treue_trace_spans_waiting", "Spans that wait to be sent.", value=self._queue.waiting)
        yield CounterMetricFamily(
            "treue_trace_spans_sent", "Spans that the collector of traces has taken.", value=self._queue.sent
        )
        dropped = CounterMetricFamily(
            "treue_trace_spans_dropped",
            f"Spans that were dropped, by reason: {FULL}, because too many waited; {NOT_TAKEN}, because the collector "
            "was away, too slow, or refused them.",
            labels=("reason",),
        )
        dropped.add_metric((FULL,), self._queue.full)
        dropped.add_metric((NOT_TAKEN,), self._queue.not_taken)
        yield dropped


@contextlib.contextmanager
def trace_to(url: str, process: str, ratio: float) -> Iterator[ProcessTracer]:
    """Return a tracer for the block, which sends its spans to a collector. `process` is the name of this process."""
    queue = BoundedQueue(url)
    resource = Resource.create(
        {
            "service.name": f"treue-{process}",
            "service.namespace": "treue",
            "service.version": version("treue"),
            "service.instance.id": str(uuid.uuid4()),
        }
    )
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(queue)
    log.info("traces are sent", url=url, ratio=ratio)
    try:
        yield ProcessTracer(provider.get_tracer("treue", version("treue")), queue)
    finally:
        queue.close()
