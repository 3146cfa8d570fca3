"""Logs as JSON, one line for each event, on stderr.

No logger may write a secret or the text of a query. The last step before printing masks values with the name or the
form of a secret. Line breaks inside a value are escaped, so nobody can forge a line.
"""

import asyncio
import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import psycopg
import structlog
from structlog.typing import EventDict, Processor

MASK = "[hidden]"
MAX_TEXT_LENGTH = 2_000
MAX_DEPTH = 5
MAX_FRAMES = 30

SECRET_NAMES = re.compile(
    r"authorization|cookie|credential|passw|secret|token|api_?key|private_?key|^(query|variables|body|sql|statement)$",
    re.IGNORECASE,
)
# These names contain a secret's name, but their values are harmless: which token, how many, when.
HARMLESS_NAMES = re.compile(r"_(id|kind|count|at|seconds)$", re.IGNORECASE)
SECRET_TEXTS = (
    (re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@]*):[^\s@]*@", re.IGNORECASE), rf"\1:{MASK}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\btreue_[a-z]+_[A-Za-z0-9]{20,}"), MASK),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)*"), MASK),
    # SQLAlchemy adds the statement and its parameters to the driver's message.
    (re.compile(r"\s*\[(SQL|parameters): .*", re.DOTALL), ""),
)
# This logger writes the whole query of a client beside each error. The edge logs errors without the query.
SILENT_LOGGERS = ("strawberry.execution",)
POOL_LOGGER = "sqlalchemy.pool"
LOST_CONNECTION = (psycopg.OperationalError, psycopg.InterfaceError, OSError, asyncio.CancelledError)
"""The errors of giving back a connection after the database or its user has gone."""

# These loggers repeat lines of the edge, or tell nothing that an operator needs.
QUIET_LOGGERS = ("uvicorn.access",)


def configure_logging(level: str = "INFO", stream: TextIO | None = None, more: Sequence[Processor] = ()) -> None:
    """Send all log records of this process to the stream as JSON, from structlog and the standard library.

    The functions `more` add values to every line.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        *more,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            describe_exception,
            redact,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(calm_lost_connections)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    _tame_other_loggers()


def calm_lost_connections(record: logging.LogRecord) -> bool:
    """Lower the record of a lost connection from SQLAlchemy's pool to a warning: the pool opens another one.

    The code that used the connection gets an exception, and logs what that means for its work. Returns True: every
    record is kept.
    """
    error = record.exc_info[1] if record.exc_info else None
    if record.name.startswith(POOL_LOGGER) and isinstance(error, LOST_CONNECTION):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = f"{record.msg} (%s)", (*_as_tuple(record.args), type(error).__name__)
        record.exc_info = None
    return True


def _as_tuple(args: object) -> tuple[object, ...]:
    return args if isinstance(args, tuple) else ()


def describe_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's type, text and the code lines on its way; never by local variables."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
        event["exception"] = {
            "type": f"{type(error).__module__}.{type(error).__qualname__}",
            "message": str(error),
            "trace": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            event["exception"]["cause"] = f"{type(cause).__qualname__}: {cause}"
    return event


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask values with the name of a secret, and texts with the form of one; shorten long texts."""
    return _redact_mapping(event, MAX_DEPTH)


def _redact_mapping(values: Mapping[str, Any], depth: int) -> MutableMapping[str, Any]:
    return {str(name): MASK if _is_secret(str(name)) else _redact_value(value, depth) for name, value in values.items()}


def _is_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None and HARMLESS_NAMES.search(name) is None


def _redact_value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        return _redact_mapping(value, depth - 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item, depth - 1) for item in value]
    return _redact_text(str(value))


def _redact_text(text: str) -> str:
    for pattern, replacement in SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}..."


def _to_json(event: EventDict, **_options: Any) -> str:
    # ASCII only: lone surrogates and control characters of a hostile client stay readable and harmless.
    return json.dumps(event, ensure_ascii=True, separators=(",", ":"))


def _tame_other_loggers() -> None:
    """Send the records of all libraries to the root logger's handler, and warnings of Python, too.

    Libraries that were imported before may have handlers of their own, which write in other formats.
    """
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for name in SILENT_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
