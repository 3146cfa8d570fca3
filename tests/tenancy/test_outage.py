import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from structlog.testing import capture_logs

from loyalty.services.world import World
from tenancy.database import Database
from tenancy.outage import FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS, Outage, is_away


def test_an_outage_is_news_when_it_begins_and_when_it_is_over() -> None:
    outage = Outage("relay")
    waits: list[float] = []
    with capture_logs() as lines:
        for _ in range(2):
            outage.over()
            waits += [outage.failed(OSError("gone")) for _ in range(2_000)]
            outage.over()
            outage.over()
    assert [line["event"] for line in lines] == ["interrupted", "works again"] * 2
    assert lines[1]["failures"] == 2_000
    assert waits[0] <= FIRST_WAIT_SECONDS
    assert MAX_WAIT_SECONDS / 2 <= max(waits) <= MAX_WAIT_SECONDS


async def test_a_server_that_does_not_answer_is_away() -> None:
    database = Database("postgresql://nobody@/nothing?host=%2Fnowhere")
    with pytest.raises(Exception, match="nowhere") as caught:
        async with database.engine.connect():
            pass
    assert is_away(caught.value)
    await database.close()


@pytest.mark.parametrize(
    ("statement", "away"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        ("SELECT 1 / 0", False),
        ("SELECT * FROM nonsense", False),
    ],
)
async def test_tells_a_lost_connection_from_a_wrong_statement(statement: str, away: bool, world: World) -> None:  # noqa: FBT001
    async with world.database.engine.connect() as connection:
        with pytest.raises(Exception, match=r".") as caught:
            await connection.execute(text(statement))
    assert is_away(caught.value) is away


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (psycopg.OperationalError("connection reset"), True),
        (psycopg.errors.CannotConnectNow(), True),
        (psycopg.errors.TooManyConnections(), True),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.errors.DeadlockDetected(), False),
        (ConnectionResetError(), True),
        (ValueError(), False),
    ],
)
def test_knows_what_says_nothing_about_the_work(error: Exception, away: bool) -> None:  # noqa: FBT001
    assert is_away(error) is away


@pytest.mark.parametrize(
    "error",
    [
        NoFreeConnection(),
        OSError("gone"),
        TimeoutError(),
        psycopg.errors.AdminShutdown("terminating connection"),
        DBAPIError("SELECT 1", {}, psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")),
        DBAPIError("SELECT 1", {}, psycopg.errors.QueryCanceled("canceling statement due to statement timeout")),
        DBAPIError("SELECT 1", {}, psycopg.errors.DeadlockDetected("deadlock detected\nDETAIL: Process 7 waits")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_passing_outage_is_a_warning_without_a_traceback(error: Exception) -> None:
    """Nothing has to be mended: the database is away, or others use it just now."""
    outage = Outage("event reader")
    with capture_logs() as lines:
        outage.failed(error)
        outage.over()
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert "exc_info" not in lines[0]
    assert type(getattr(error, "orig", None) or error).__name__ in lines[0]["reason"]
    assert "Process 7" not in lines[0]["reason"]


@pytest.mark.parametrize("error", [ValueError("a bug"), psycopg.errors.UndefinedTable("no such table")])
def test_a_bug_is_an_error_with_its_traceback(error: Exception) -> None:
    with capture_logs() as lines:
        Outage("event reader").failed(error)
    assert [(line["log_level"], line["exc_info"][1]) for line in lines] == [("error", error)]
