"""The queue of spans, in front of a real collector: what it holds, drops and forgets."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.tracing import MAX_HELD_SPANS, MAX_SPANS_AT_ONCE, MAX_WAITING_SPANS, ProcessTracer, trace_to
from tests.fixtures.collector import Collector, collector_process
from tests.fixtures.live import until


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with collector_process(tmp_path) as running:
        yield running


async def test_more_spans_than_may_wait_are_dropped_and_counted_and_later_ones_are_sent(collector: Collector) -> None:
    collector.behave(wait_seconds=1)
    with trace_to(collector.url, "test", 1.0) as tracer:
        queue, made = tracer.queue, 3 * MAX_WAITING_SPANS
        for number in range(made):
            tracer.begin(f"span {number}", "INTERNAL").end()
            assert queue.waiting <= MAX_WAITING_SPANS
        assert queue.full > 0
        collector.behave()
        await until(lambda: queue.waiting == 0)
        tracer.begin("after", "INTERNAL").end()
        await until(lambda: "after" in collector.text)
        await until(lambda: queue.sent + queue.not_taken + queue.full == made + 1)
        assert queue.not_taken == 0
        assert len(collector.spans()) == queue.sent <= made + 1 - queue.full


async def test_a_round_without_work_is_forgotten_with_its_statements(collector: Collector) -> None:
    with trace_to(collector.url, "test", 1.0) as tracer:
        _take_round(tracer, "idle", parts=1, forgotten=True)
        _take_round(tracer, "busy", parts=1, forgotten=False)
        idle_with_work = tracer.begin_round("worked")
        with idle_with_work.within():
            tracer.begin("sweep", "INTERNAL").end()
        idle_with_work.forget()
        idle_with_work.end()
        await until(lambda: "worked" in collector.text)
    assert {span.name for span in collector.spans()} == {"busy", "statement of busy", "worked", "sweep"}


async def test_a_round_with_very_many_statements_waits_no_longer_for_its_end(collector: Collector) -> None:
    with trace_to(collector.url, "test", 1.0) as tracer:
        round_ = tracer.begin_round("long")
        with round_.within():
            for _ in range(MAX_HELD_SPANS + 1):
                tracer.begin("statement", "CLIENT").end()
            await until(lambda: len(collector.spans()) == MAX_HELD_SPANS + 1)
        round_.end()
        await until(lambda: len(collector.spans()) == MAX_HELD_SPANS + 2)
    assert MAX_SPANS_AT_ONCE < MAX_HELD_SPANS


async def test_a_span_that_has_ended_or_is_not_recorded_sends_nothing(collector: Collector) -> None:
    with trace_to(collector.url, "test", 0.0) as unrecorded:
        span = unrecorded.begin("unrecorded", "SERVER")
        with span.within():
            assert unrecorded.begin_part("part", "CLIENT") is None
        span.end()
    with trace_to(collector.url, "test", 1.0) as tracer:
        assert tracer.begin_part("orphan", "CLIENT") is None
        span = tracer.begin("ended", "SERVER")
        span.end()
        span.note("late", "x")
        span.fail("late")
        span.rename("late")
        span.end()
        with span.within():
            assert tracer.begin_part("part", "CLIENT") is None
        await until(lambda: "ended" in collector.text)
    (seen,) = collector.spans()
    assert (seen.name, seen.failed, seen.attributes) == ("ended", False, {})


def _take_round(tracer: ProcessTracer, name: str, *, parts: int, forgotten: bool) -> None:
    taken = tracer.begin_round(name)
    with taken.within():
        for _ in range(parts):
            tracer.begin(f"statement of {name}", "CLIENT").end()
    if forgotten:
        taken.forget()
    taken.end()


def test_commands_load_no_package_of_traces_before_they_are_wanted() -> None:
    code = "import sys, cli.serve, cli.worker, cli.platform; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_without_the_packages_the_command_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from cli.observing import observe_process\n"
        "from runtime.settings import Settings\n"
        "try:\n"
        "    with observe_process(Settings(traces_url='http://127.0.0.1:1/v1/traces'), 'server'): pass\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("WrongSettings TREUE_TRACES_URL needs packages")
    assert "treue[traces]" in done.stdout
