import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import structlog

from runtime.logs import MASK, MAX_TEXT_LENGTH, configure_logging

TOKEN = "treue_api_" + "a" * 49


class Lines(io.StringIO):
    """A stream whose lines are read back as what they say."""

    def read_back(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def only(self) -> dict[str, Any]:
        (line,) = self.read_back()
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configured = structlog.get_config()
    stream = Lines()
    configure_logging("INFO", stream)
    try:
        yield stream
    finally:
        logging.captureWarnings(capture=False)
        root.handlers, root.level = handlers, level
        structlog.configure(**configured)
        structlog.contextvars.clear_contextvars()


def test_writes_one_line_of_json_for_each_event(lines: Lines) -> None:
    structlog.get_logger("api.access").info("request", status=200, seconds=0.5)
    line = lines.only()
    assert line["event"] == "request"
    assert line["logger"] == "api.access"
    assert line["level"] == "info"
    assert (line["status"], line["seconds"]) == (200, 0.5)
    assert line["at"].endswith("Z")


def test_carries_the_context_of_a_request(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("schema").info("first")
        logging.getLogger("library").warning("second %s", "text")
    assert [line["request_id"] for line in lines.read_back()] == ["r-1", "r-1"]
    assert lines.read_back()[1]["event"] == "second text"


def test_leaves_out_what_is_below_the_level(lines: Lines) -> None:
    structlog.get_logger("x").debug("detail")
    logging.getLogger("x").debug("detail")
    assert lines.read_back() == []


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "api_key",
        "cookie",
        "password",
        "client_secret",
        "accessToken",
        "token",
        "query",
        "body",
        "variables",
    ],
)
def test_masks_what_is_called_like_a_secret_at_any_depth(name: str, lines: Lines) -> None:
    structlog.get_logger("x").info("e", **{name: "hunter2"}, headers=[{"inner": {name: ["hunter2"]}}])
    assert "hunter2" not in lines.getvalue()
    assert lines.only()["headers"] == [{"inner": {name: MASK}}]


@pytest.mark.parametrize(
    "text",
    [
        f"took {TOKEN} away",
        "header was Bearer abc.def-hunter2",
        "Basic aHVudGVyMg==",
        "cannot reach postgresql://treue_app:hunter2@db/treue",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl",
        "(psycopg.Error) failed\n[SQL: SELECT hunter2]\n[parameters: {'p': 'hunter2'}]",
    ],
)
def test_masks_what_looks_like_a_secret_wherever_it_stands(text: str, lines: Lines) -> None:
    structlog.get_logger("x").info(text, reason=text)
    logging.getLogger("library").error("%s", text)
    for secret in ("hunter2", TOKEN, "aHVudGVyMg", "eyJzdWI"):
        assert secret not in lines.getvalue()


def test_keeps_what_only_tells_about_a_secret(lines: Lines) -> None:
    structlog.get_logger("x").info("e", token_id="t-1", token_kind="API", tokens_count=3)
    line = lines.only()
    assert (line["token_id"], line["token_kind"], line["tokens_count"]) == ("t-1", "API", 3)


def test_describes_an_exception_without_local_variables_and_secrets(lines: Lines) -> None:
    local = "hunter2"
    try:
        try:
            assert local
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("postgresql://a:hunter2@b failed") from inner
    except ValueError:
        structlog.get_logger("x").exception("bug")
    exception = lines.only()["exception"]
    assert exception["type"] == "builtins.ValueError"
    assert exception["cause"] == "KeyError: 'inner'"
    assert __file__ in exception["trace"][-1]
    assert "hunter2" not in lines.getvalue()


def test_nobody_can_forge_a_line(lines: Lines) -> None:
    # Straight to our handler: pytest keeps what loggers are told for its report, and a report is UTF-8.
    (ours,) = [one for one in logging.getLogger().handlers if getattr(one, "stream", None) is lines]
    forged = 'x"}\n{"event": "forged"}\r\x00\ud800'
    ours.handle(
        logging.makeLogRecord({"name": "library", "levelname": "WARNING", "msg": "name is %s", "args": (forged,)})
    )
    assert len(lines.getvalue().splitlines()) == 1
    assert lines.only()["event"].startswith('name is x"}\n')


def test_shortens_a_long_text(lines: Lines) -> None:
    structlog.get_logger("x").info("e", reason="x" * 1_000_000)
    assert len(lines.only()["reason"]) == MAX_TEXT_LENGTH + 3


def test_survives_what_json_does_not_know(lines: Lines) -> None:
    deep: list[Any] = []
    deep.append(deep)
    structlog.get_logger("x").info("e", thing=object(), deep=deep, names={"b"})
    assert lines.only()["names"] == ["b"]


def test_never_shows_the_query_that_the_graphql_library_logs(lines: Lines) -> None:
    logging.getLogger("strawberry.execution").error("{ secretQuery }")
    assert lines.read_back() == []


def test_takes_over_warnings_and_loggers_with_handlers_of_their_own(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", UserWarning, stacklevel=1)
    assert "old thing" in lines.only()["event"]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (psycopg.OperationalError("server closed the connection"), "warning"),
        (asyncio.CancelledError(), "warning"),
        (ValueError("a bug"), "error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_connection_that_the_pool_loses_is_a_warning(lines: Lines, error: BaseException, level: str) -> None:
    """SQLAlchemy logs it at error level with a traceback, also when the caller caused it."""
    logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool").error(
        "Exception closing connection %r", "<connection>", exc_info=error
    )
    line = lines.only()
    assert line["level"] == level
    assert line["event"].startswith("Exception closing connection '<connection>'")
    assert ("exception" in line) is (level == "error")
    assert (type(error).__name__ in line["event"]) is (level == "warning")


def test_a_connection_that_somebody_forgot_stays_an_error(lines: Lines) -> None:
    logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool").error("The garbage collector is trying ...")
    assert lines.only()["level"] == "error"
