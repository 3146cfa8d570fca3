import psycopg
import pytest
from sqlalchemy import text
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


def test_a_full_pool_is_a_warning_and_not_an_error() -> None:
    """Nothing is broken: requests have all the connections just now."""
    outage = Outage("event reader")
    with capture_logs() as lines:
        outage.failed(NoFreeConnection())
        outage.over()
        outage.failed(OSError("gone"))
    assert [line["log_level"] for line in lines] == ["warning", "info", "error"]
