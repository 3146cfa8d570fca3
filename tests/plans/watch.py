"""Watches the statements that transactions send, and asks PostgreSQL for the plan of each one as it runs.

EXPLAIN ANALYZE runs the statement first, with its own parameters, inside a savepoint that is rolled back; then it runs
for real. So a plan is the one of the application role, under forced row-level security, at that very moment. Where the
plan is kept (`keep_plan`), it is one that knows no values.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from types import FrameType
from typing import Any, NamedTuple

import greenlet  # type: ignore[import-untyped]
import psycopg
from sqlalchemy import Executable, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tenancy.pipeline import Question, question_of
from tenancy.statements import CompiledStatement, Values
from tenancy.transactions import Conversation

EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, FORMAT JSON) "
SET_ASIDE = text("SAVEPOINT explained")
TAKE_BACK = text("ROLLBACK TO SAVEPOINT explained")
PLAN_WITHOUT_VALUES = text("SET LOCAL plan_cache_mode = force_generic_plan")
DROP_KEPT = text("DEALLOCATE explained")
STORAGE = ("loyalty.storage.", "loyalty.ledger.", "tenancy.")
DOORS = ("Transaction.", "Conversation.", "_PooledReader.")
"""What sends statements for others."""
SORTS = ("Sort", "Incremental Sort")


class Reading(NamedTuple):
    """What one node of a plan reads: rows that it looks at, also those that it throws away, and pages of its own."""

    node: str
    loops: int
    rows: int
    pages: int


class Sent(NamedTuple):
    """A statement that was sent: the function that sent it, what it is, and what each node of its plan reads.

    `readings` is None for one that PostgreSQL refuses to explain, since it breaks a constraint.
    """

    by: str
    statement: Executable | None
    readings: Sequence[Reading] | None


class PlanWatch:
    """All statements that were sent while it watched."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    @contextmanager
    def watching(self, *engines: AsyncEngine) -> Iterator[None]:
        """Watch the statements of all transactions inside a tenant, and those of these engines."""
        ask, ask_and_commit = Conversation.ask, Conversation.ask_and_commit

        def explain_before(send: Any) -> Any:
            async def explain_and_send(
                conversation: Conversation, statement: Executable, parameters: Mapping[str, Any]
            ) -> Any:
                readings = await _explain_in(conversation, ask, question_of(statement, parameters))
                self.sent.append(Sent(_sender(), statement, readings))
                return await send(conversation, statement, parameters)

            return explain_and_send

        Conversation.ask = explain_before(ask)  # type: ignore[method-assign]
        Conversation.ask_and_commit = explain_before(ask_and_commit)  # type: ignore[method-assign]
        for engine in engines:
            event.listen(engine.sync_engine, "before_cursor_execute", self._note)
        try:
            yield
        finally:
            Conversation.ask = ask  # type: ignore[method-assign]
            Conversation.ask_and_commit = ask_and_commit  # type: ignore[method-assign]
            for engine in engines:
                event.remove(engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, connection: Any, _cursor: Any, statement: str, parameters: Any, context: Any, *_rest: Any) -> None:
        readings = _explain(connection.connection.cursor(), statement, parameters)
        self.sent.append(Sent(_sender(), context.invoked_statement, readings))


async def _explain_in(conversation: Conversation, ask: Any, question: Question) -> Sequence[Reading] | None:
    """Explain a statement in a conversation, inside a savepoint that is rolled back.

    Return what its plan reads; None if PostgreSQL refuses the statement.
    """
    statement = question.statement
    await ask(conversation, SET_ASIDE, {})
    try:
        if statement.keeps_plan:
            return await _explain_kept(conversation, ask, question)
        return await _ask_plan(conversation, _variant(statement, EXPLAIN.encode() + statement.text), question.values)
    except DBAPIError:
        # What breaks a constraint breaks it again outside, where the product answers for it.
        return None
    finally:
        await ask(conversation, TAKE_BACK, {})


async def _explain_kept(conversation: Conversation, ask: Any, question: Question) -> Sequence[Reading]:
    """Prepare the statement, and explain how it runs by a plan that knows no values."""
    statement = question.statement
    if any(statement.parameter_types):
        raise ValueError("a kept plan needs parameters whose types stand in the text")
    values = b", ".join(b"'" + (value or b"").replace(b"'", b"''") + b"'" for value in question.values)
    await ask(conversation, PLAN_WITHOUT_VALUES, {})
    await conversation._send([Question(_variant(statement, b"PREPARE explained AS " + statement.text), ())])  # noqa: SLF001
    try:
        executed = EXPLAIN.encode() + b"EXECUTE explained(" + values + b")"
        return await _ask_plan(conversation, _variant(statement, executed), ())
    finally:
        await ask(conversation, DROP_KEPT, {})


def _variant(statement: CompiledStatement, sent: bytes) -> CompiledStatement:
    """Return the statement with another text, which is not prepared."""
    variant = copy(statement)
    variant.text = sent
    variant.is_sent_once = True
    if not sent.endswith(statement.text) or sent.startswith(b"PREPARE"):
        variant.parameter_types = []
    return variant


async def _ask_plan(conversation: Conversation, explaining: CompiledStatement, values: Values) -> Sequence[Reading]:
    """Send a statement that explains another one, and return what its plan reads."""
    (answer,) = await conversation._send([Question(explaining, values)])  # noqa: SLF001 - as it is sent
    ((plan,),) = answer.transformer.set_pgresult(answer.result) or answer.transformer.load_rows(0, 1, tuple)
    return list(_readings(plan[0]["Plan"]))


def _explain(cursor: Any, statement: str, parameters: Any) -> Sequence[Reading] | None:
    """Explain a statement with a cursor, inside a savepoint that is rolled back.

    Return what its plan reads; None if PostgreSQL refuses the statement.
    """
    cursor.execute("SAVEPOINT explained")
    try:
        cursor.execute(EXPLAIN + statement, parameters)
        ((plan,),) = cursor.fetchall()
        return list(_readings(plan[0]["Plan"]))
    except psycopg.Error:
        return None
    finally:
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
        cursor.close()


def _readings(node: dict[str, Any]) -> Iterator[Reading]:
    """Yield what a node and all below it read. A sort reads what the node below it gives."""
    below = node.get("Plans", [])
    kind, loops = node["Node Type"], node["Actual Loops"]
    name = " ".join([kind, *(node[key] for key in ("Relation Name", "Index Name", "Filter") if key in node)])
    if kind in SORTS:
        yield Reading(name, loops, round(sum(one["Actual Rows"] * one["Actual Loops"] for one in below)), 0)
    elif kind.endswith("Scan") and ("Relation Name" in node or "Index Name" in node):
        thrown_away = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        own_pages = _pages(node) - sum(_pages(one) for one in below)
        yield Reading(name, loops, round((node["Actual Rows"] + thrown_away) * loops), own_pages)
    for one in below:
        yield from _readings(one)


def _pages(node: dict[str, Any]) -> int:
    return int(node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0))


def _sender() -> str:
    """Return the storage function that waits for the statement.

    SQLAlchemy runs statements in a greenlet of their own.
    """
    parent = greenlet.getcurrent().parent
    frame: FrameType | None = parent.gr_frame if parent is not None else inspect.currentframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(STORAGE) and not frame.f_code.co_qualname.startswith(DOORS):
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"
