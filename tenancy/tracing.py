"""Tell a tracer about the work of a process. Without a tracer nothing is recorded.

Names and attributes follow the semantic conventions of OpenTelemetry. A span never holds a value of a statement. Of a
caller it holds only the name of an operation: no argument, and no text of a document.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar, cast

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Delete, Executable, Insert, Select, Table, TextClause, Update
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate

from tenancy.outage import find_cause, sqlstate_of

MAX_SUMMARY_LENGTH = 255
"""The number of characters of a statement's summary, as the conventions say. A word that does not fit is left out
whole."""
MAX_SUMMARIES = 2_000
"""The number of summaries that one process keeps. The summary that was not used for longest is dropped."""

TENANT = "treue.tenant.id"
"""The attribute that names a tenant."""

UNKNOWN = "SQL"
"""The summary of a statement if only its text is known."""

CANCELLED = "cancelled"
"""The error type of work that ended because its asker did not wait any more."""

_WRITES = re.compile(r"(?<!FOR )(?<!DO )\b(INSERT(?= INTO)|UPDATE|DELETE(?= FROM))(?: INTO| FROM)? ([a-z_]+)")
"""Matches the writing commands in the text of a statement."""

Attribute = str | int | float | bool | Sequence[str]


class Kind(StrEnum):
    """The side of a call that a span describes."""

    SERVER = "SERVER"
    """Another process asked for the work."""
    CLIENT = "CLIENT"
    """This process asks another one."""
    INTERNAL = "INTERNAL"


class Span(Protocol):
    """One piece of work, from its beginning to its end."""

    def rename(self, name: str) -> None:
        """Change the name of the span when the name is known."""

    def note(self, name: str, value: Attribute) -> None:
        """Note one attribute."""

    def fail(self, error_type: str) -> None:
        """Say that the work failed, and with what."""

    def within(self) -> AbstractContextManager[None]:
        """Let spans that begin in the block be parts of this span."""

    def end(self) -> None:
        """End the span. A second call changes nothing."""


class Round(Span, Protocol):
    """A round of a loop. Most rounds find nothing to do."""

    def forget(self) -> None:
        """Drop the spans of the round, because it had nothing to do. It is kept if a part of it was work of its own."""


S = TypeVar("S", bound=Span)


class Tracer(Protocol):
    """Records the work of a process."""

    def begin(self, name: str, kind: Kind) -> Span:
        """Begin a span. It is part of the span around it, or of the trace that is continued here."""

    def begin_part(self, name: str, kind: Kind) -> Span | None:
        """Begin a span that is part of the span around it; None if nothing is recorded."""

    def begin_round(self, name: str) -> Round:
        """Begin a span with a trace of its own. Nothing is sent before the round ends."""

    def continue_trace(self, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        """Let spans that begin in the block be parts of a caller's trace: `traceparent` and `tracestate`."""


NO_SPAN: AbstractContextManager[None] = contextlib.nullcontext()
"""Used as a span if there is no tracer. It may be entered any number of times."""


def trace(
    tracer: Tracer | None, name: str, kind: Kind = Kind.INTERNAL, *, tenant_id: str | None = None
) -> AbstractContextManager[Span | None]:
    """Return a span that lasts as long as the block, and fails with an exception of the block.

    Without a tracer nothing is recorded. ``tenant_id`` is noted with the span.
    """
    if tracer is None:
        return NO_SPAN
    span = tracer.begin(name, kind)
    if tenant_id is not None:
        span.note(TENANT, tenant_id)
    return enter_span(span)


def enter_span(span: S | None) -> AbstractContextManager[S | None]:
    """Let a span that has begun last as long as the block, and fail with an exception of the block."""
    return NO_SPAN if span is None else _enter_existing_span(span)


@contextlib.contextmanager
def _enter_existing_span(span: S) -> Iterator[S]:
    """Do what `enter_span` says for a span that exists."""
    try:
        with span.within():
            yield span
    except asyncio.CancelledError:
        span.fail(CANCELLED)
        raise
    except Exception as error:
        span.fail(type(error).__qualname__)
        raise
    finally:
        span.end()


class RoundTrips:
    """Records the round trips to one database: each is a span inside the span of the work that asks."""

    def __init__(self, tracer: Tracer, url: str) -> None:
        self._tracer = tracer
        way = conninfo_to_dict(url)
        self._place: dict[str, Attribute] = {"db.system.name": "postgresql"}
        for attribute, part in (("db.namespace", "dbname"), ("server.address", "host")):
            if way.get(part):
                self._place[attribute] = str(way[part])
        if way.get("port"):
            self._place["server.port"] = int(str(way["port"]))

    def begin(self, statements: Sequence[Executable | None]) -> Span | None:
        """Begin a span for statements that travel together. None is a statement of which only the text is known."""
        span = self._tracer.begin_part("postgresql", Kind.CLIENT)
        if span is None:
            return None
        summaries = [summarize(statement) for statement in statements]
        with_tables = [one for one in summaries if " " in one] or summaries[-1:]
        summary = _join_fitting(dict.fromkeys(with_tables))
        span.rename(summary)
        for name, value in self._place.items():
            span.note(name, value)
        span.note("db.query.summary", summary)
        span.note("db.operation.name", with_tables[-1].partition(" ")[0])
        if len(statements) > 1:
            span.note("db.operation.batch.size", len(statements))
        return span

    def watch(self, statements: Sequence[Executable | None], answered: "asyncio.Future[Any]") -> None:
        """Record a round trip from now until it is answered."""
        span = self.begin(statements)
        if span is not None:
            answered.add_done_callback(partial(_end_with_answer, span))


def _end_with_answer(span: Span, answered: "asyncio.Future[Any]") -> None:
    """End the span of a round trip, with the error of the answer if there is one."""
    if answered.cancelled():
        span.fail(CANCELLED)
    else:
        error = answered.exception()
        if error is not None:
            fail_statement(span, error)
    span.end()


def fail_statement(span: Span, error: BaseException) -> None:
    """Note the SQLSTATE with which a statement failed, or the name of the error.

    Its message may hold values, so it is left out.
    """
    state = sqlstate_of(error)
    if state:
        span.note("db.response.status_code", state)
    span.fail(state or type(find_cause(error)).__qualname__)


@lru_cache(MAX_SUMMARIES)
def summarize(statement: Executable | None) -> str:
    """Return what a statement does to which tables, such as `INSERT entries UPDATE accounts`; never a value."""
    if isinstance(statement, TextClause):
        return _summarize_text(statement.text)
    if statement is None:
        return UNKNOWN
    targets, read = dict[str, None](), dict[str, None]()
    written = set[str]()
    for part in iterate(cast("ExternallyTraversible", statement)):
        if isinstance(part, Insert | Update | Delete):
            targets[f"{part.__visit_name__.upper()} {part.table.description}"] = None
            written.add(part.table.description)
        elif isinstance(part, Table):
            read[part.name] = None
    reads = [table for table in read if table not in written]
    if isinstance(statement, Select) or not targets:
        return _join_fitting([*targets, _join_fitting(["SELECT", *reads])])
    return _join_fitting(targets)


def _summarize_text(statement: str) -> str:
    """Return the tables that a statement writes; if it writes none, its first word."""
    found = _WRITES.findall(statement)
    return _join_fitting(dict.fromkeys(f"{verb} {table}" for verb, table in found)) or statement.split(None, 1)[0]


def _join_fitting(words: Iterable[str]) -> str:
    """Join words in their order, as many as fit into a summary."""
    kept, length = list[str](), 0
    for word in words:
        length += len(word) + 1
        if kept and length > MAX_SUMMARY_LENGTH:
            break
        kept.append(word)
    return " ".join(kept)
