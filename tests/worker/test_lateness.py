"""What is late is told once when it begins and once when it is over, and the metrics show how late."""

import json
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from structlog.testing import capture_logs

from loyalty.rules.tiers import TierBasis, TierPolicy
from loyalty.services.log_readers import READER_NAMES
from loyalty.services.log_readers import READERS as ALL_READERS
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.live import buy, until, worker_process
from tests.fixtures.metrics import scrape
from tests.fixtures.server import free_port
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import at, earn, order
from tests.worker.test_sweeping import HOUR, new_salon
from worker.lateness import JOBS, LIMITS, READERS, RELAY, Lateness, Look, measure_lateness
from worker.metrics import WorkerCollector
from worker.reading import read_round
from worker.relay import relay_batch
from worker.sweeping import SweepNews, sweep_round
from worker.tally import Tally


@pytest.fixture
async def salon(owner: World, own_world: World) -> Salon:
    """Provide a salon whose points come an hour after the booking."""
    return await new_salon(owner, own_world)


def test_everything_that_can_wait_has_a_limit() -> None:
    assert set(LIMITS) == {RELAY, JOBS, READERS, *(sweep.name for sweep in SWEEPS)}


def nothing_late() -> dict[str, float]:
    return dict.fromkeys(LIMITS, 0.0)


@pytest.mark.parametrize("what", LIMITS)
def test_each_is_told_when_it_becomes_late_and_when_it_is_over(what: str) -> None:
    lateness, limit = Lateness(), LIMITS[what]
    with capture_logs() as lines:
        for seconds in (0.0, limit - 0.1, limit, limit + 5, limit + 10, 0.0, 0.0, limit + 1):
            lateness.note(Look({**nothing_late(), what: seconds}, {}))
            assert lateness.is_late(what) == (seconds >= limit)
    assert [(line["event"], line["log_level"], line["what"]) for line in lines] == [
        ("late", "warning", what),
        ("on time again", "info", what),
        ("late", "warning", what),
    ]
    assert (lines[0]["late_seconds"], lines[0]["limit_seconds"]) == (round(limit, 1), limit)


async def test_an_event_without_a_position_is_the_lag_of_the_relay(
    owner: World, own_world: World, relay: Database, salon: Salon
) -> None:
    other = await new_salon(owner, own_world)
    for one, age in ((salon, "90 seconds"), (other, "3 seconds")):
        await buy(own_world, one, 2)
        async with owner.database.tenant_transaction(one.tenant_id) as tx:
            await tx.run(text(f"UPDATE events SET recorded_at = recorded_at - interval '{age}'"))
    seen = await measure_lateness(relay, datetime.now(UTC))
    assert 90 <= seen.seconds[RELAY] < 90 + 60
    while await relay_batch(relay):
        pass
    assert (await measure_lateness(relay, datetime.now(UTC))).seconds[RELAY] == 0


async def test_a_due_row_is_as_late_as_it_is_overdue(own_world: World, relay: Database, salon: Salon) -> None:
    now = datetime.now(UTC)
    await earn(at(own_world, now - HOUR - timedelta(minutes=10)), salon, order())
    seen = await measure_lateness(relay, now)
    assert seen.seconds["maturing"] == pytest.approx(600)
    assert {name: late for name, late in seen.seconds.items() if name not in {"maturing", RELAY}} == {
        name: 0 for name in LIMITS if name not in {"maturing", RELAY}
    }
    assert await sweep_round(at(own_world, now), relay, SweepNews()) == 1
    assert (await measure_lateness(relay, now)).seconds["maturing"] == 0


async def test_a_job_is_late_when_nobody_works_on_it(own_world: World, relay: Database, salon: Salon) -> None:
    changed = await update_program(
        own_world,
        salon.manager,
        ProgramEdit(lambda it: replace(it, tiering=TierPolicy(basis=TierBasis.EARNED_IN_WINDOW)), None),
    )
    assert changed.job is not None
    seen = await measure_lateness(relay, datetime.now(UTC) + timedelta(minutes=5))
    assert 300 <= seen.seconds[JOBS] < 360
    assert seen.jobs == {"WAITING": 1}


async def test_a_log_is_late_when_no_reader_has_looked_into_it(
    owner: World, own_world: World, relay: Database, salon: Salon
) -> None:
    await buy(own_world, salon, 1)
    while await relay_batch(relay):
        pass
    async with owner.database.tenant_transaction(salon.tenant_id) as tx:
        assert await tx.run(text("UPDATE log_readers SET due_at = due_at - interval '2 minutes'")) == len(READER_NAMES)
    assert 120 <= (await measure_lateness(relay, datetime.now(UTC))).seconds[READERS] < 180
    for reader in ALL_READERS.values():
        await read_round(reader, own_world, relay)
    assert (await measure_lateness(relay, datetime.now(UTC))).seconds[READERS] == 0


def test_the_metrics_tell_what_the_last_look_has_found() -> None:
    lateness, tally, registry = Lateness(), Tally(), CollectorRegistry()
    registry.register(WorkerCollector(["relay"], tally, lateness))
    assert registry.get_sample_value("treue_late_seconds", {"what": RELAY}) is None
    lateness.note(Look({**nothing_late(), RELAY: 34.5}, {"RUNNING": 2}))
    tally.relayed_events = 7
    tally.note_round("relay")
    assert registry.get_sample_value("treue_late_seconds", {"what": RELAY}) == 34.5
    assert registry.get_sample_value("treue_late", {"what": RELAY}) == 1
    assert registry.get_sample_value("treue_late", {"what": JOBS}) == 0
    assert registry.get_sample_value("treue_jobs", {"state": "RUNNING"}) == 2
    assert registry.get_sample_value("treue_jobs", {"state": "WAITING"}) == 0
    assert registry.get_sample_value("treue_relayed_events_total") == 7
    since = registry.get_sample_value("treue_loop_idle_seconds", {"loop": "relay"})
    assert since is not None
    assert 0 <= since < 60


async def test_a_worker_tells_that_nobody_relays(
    owner: World, own_database_urls: DatabaseUrls, own_world: World, relay: Database, salon: Salon
) -> None:
    """This worker only works off jobs; no worker relays events."""
    await buy(own_world, salon, 1)
    async with owner.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(text("UPDATE events SET recorded_at = recorded_at - interval '1 hour'"))
    port = free_port()
    async with worker_process(own_database_urls, "--only", "jobs", "--metrics-port", str(port)) as process:
        assert process.stderr is not None
        lines = [json.loads(await process.stderr.readline()) for _ in range(3)]
        assert [line["event"] for line in lines] == ["metrics are served", "worker started", "late"]
        assert (lines[-1]["level"], lines[-1]["what"]) == ("warning", RELAY)
        seen = scrape(port)
        assert seen.value("treue_late_seconds", what=RELAY) > 3_500
        assert seen.value("treue_late", what=RELAY) == 1
        assert seen.value("treue_late", what="maturing") == 0
        assert seen.value("treue_build_info", version="0.1.0", process="worker") == 1
        assert seen.value("treue_database_round_trips_total", role="relay", door="plain") > 0
        while await relay_batch(relay):
            pass
        again = json.loads(await process.stderr.readline())
        assert (again["event"], again["what"]) == ("on time again", RELAY)
        await until(lambda: scrape(port).value("treue_late", what=RELAY) == 0)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
