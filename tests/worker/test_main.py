import asyncio
import json
import signal

import pytest
from click.testing import CliRunner

from cli.main import main
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tenancy.startup import UnsafeDatabaseRole
from tests.fixtures.live import worker_process
from worker.main import Cluster, run_worker, work


async def test_says_as_json_when_it_starts_and_when_it_stops(database_urls: DatabaseUrls) -> None:
    async with worker_process(database_urls) as process:
        assert process.stderr is not None
        started = json.loads(await process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        # What other tests left to do in the shared database may be told in between.
        stopped = [json.loads(line) async for line in process.stderr][-1]
        assert await process.wait() == 0
    assert (started["event"], started["level"]) == ("worker started", "info")
    assert started["parts"] == ["JOBS", "READERS", "RELAY", "SWEEPING"]
    assert (stopped["event"], stopped["finished"]) == ("worker stopped", True)


@pytest.mark.parametrize("unsafe", ["app", "relay"])
async def test_refuses_a_role_that_could_look_over_the_wall(database_urls: DatabaseUrls, unsafe: str) -> None:
    urls = database_urls._replace(**{unsafe: database_urls.owner})
    with pytest.raises(UnsafeDatabaseRole, match="owns tables"):
        await run_worker({"home": Cluster(urls.app, urls.relay)})


def test_a_refused_role_is_shown_without_a_traceback(
    database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREUE_APP_URL", database_urls.owner)
    monkeypatch.setenv("TREUE_RELAY_URL", database_urls.relay)
    result = CliRunner().invoke(main, ["worker"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: The database role 'treue_owner' is refused: it owns tables")


def test_a_server_that_is_not_there_is_shown_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "postgresql://treue_app:hunter2@/treue?host=%2Fnowhere"
    monkeypatch.setenv("TREUE_APP_URL", nowhere)
    monkeypatch.setenv("TREUE_RELAY_URL", nowhere)
    result = CliRunner().invoke(main, ["worker"])
    assert result.exit_code == 1
    assert "Error: Cannot reach PostgreSQL" in result.output
    assert "hunter2" not in result.output


def test_refuses_a_part_that_does_not_exist() -> None:
    assert CliRunner().invoke(main, ["worker", "--only", "coffee"]).exit_code == 2


async def test_a_loop_runs_inside_another_process_and_leaves_no_task_behind(
    world: World, relay_database: Database
) -> None:
    before = asyncio.all_tasks()
    stop = asyncio.Event()
    running = asyncio.create_task(work(world, relay_database, stop))
    await asyncio.sleep(0)
    stop.set()
    assert await running
    assert asyncio.all_tasks() == before
