"""An event is read once for all subscribers who get the same answer.

Who asks the same of an event, in the same tenant and with the same rights, gets the same answer. One of them reads it,
in a task of its own, and the others wait for it; so nobody depends on a reader who goes away. Everything else is each
subscriber's own: where it stands, what it filters, how it is told of errors, when it tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import orjson
from graphql import (
    SKIP,
    ArgumentNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql import ExecutionResult as CoreResult
from strawberry.types import ExecutionResult

from permissions.actor import Actor
from schema.limits import name_of

EVENTS_AT_ONCE = 5
"""Events that one process reads the fields of at the same time, so that subscriptions leave connections to requests."""

KEPT_SECONDS = 2.0
"""How long an answer is there for subscribers who come to the event later than the first."""

MAX_KEPT_ANSWERS = 200
"""Answers that are kept in a process; the oldest ones go first."""

MAX_KEPT_BYTES = 65_536
"""Bytes of the JSON of an answer that is kept. Who waits for a longer one shares it; who comes later reads again."""

Read = Callable[[], Awaitable[CoreResult]]


class Answer:
    """What an event was answered with, and its JSON for those who are sent it. Never changed."""

    __slots__ = ("_encoded", "_extensions", "_payload", "data", "errors")

    def __init__(self, result: CoreResult) -> None:
        self.data = result.data
        self.errors: list[GraphQLError] | None = result.errors
        self._encoded = orjson.dumps(result.data)
        self._payload: str | None = None
        self._extensions: object = None

    @property
    def size(self) -> int:
        """Bytes of its JSON."""
        return len(self._encoded)

    def encode(self, extensions: Mapping[str, Any] | None) -> str:
        """The payload of a message that tells it; it is made once as long as the extensions are the same."""
        if self._payload is None or self._extensions != extensions:
            told = b',"extensions":' + orjson.dumps(extensions) if extensions else b""
            self._extensions = dict(extensions or {})
            self._payload = (b'{"data":' + self._encoded + told + b"}").decode()
        return self._payload


@dataclass
class EventResult(ExecutionResult):
    """The result of one subscriber: the answer that others may share, with errors and extensions of its own."""

    answer: Answer = field(kw_only=True)


class _Reading:
    """An answer that is being read, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.waiting = 0


class FanOut:
    """The answers of one process. At most as many are read at the same time as there are slots."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(EVENTS_AT_ONCE)
        self._readings: dict[Hashable, _Reading] = {}

    def __len__(self) -> int:
        return len(self._readings)

    async def answer(self, key: Hashable | None, read: Read) -> Answer:
        """The answer for a key, read by the first who asks. Without a key it is read for this caller alone.

        A reading that nobody waits for any more is given up. One that failed is not kept, so who tries again reads.
        """
        reading = None if key is None else self._readings.get(key)
        if reading is None:
            reading = _Reading(asyncio.create_task(self._read(read)))
            if key is not None:
                self._keep(key, reading)
        if reading.task.done():
            return reading.task.result()
        reading.waiting += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.waiting -= 1
            if not reading.waiting and not reading.task.done():
                reading.task.cancel()
                self._drop(key, reading)

    async def _read(self, read: Read) -> Answer:
        async with self.slots:
            return Answer(await read())

    def _keep(self, key: Hashable, reading: _Reading) -> None:
        if len(self._readings) >= MAX_KEPT_ANSWERS:
            del self._readings[next(iter(self._readings))]
        self._readings[key] = reading
        reading.task.add_done_callback(partial(self._keep_for_a_while, key, reading))

    def _keep_for_a_while(self, key: Hashable, reading: _Reading, task: asyncio.Task[Answer]) -> None:
        if task.cancelled() or task.exception() is not None or not _may_be_kept(task.result()):
            self._drop(key, reading)
        else:
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, key, reading)

    def _drop(self, key: Hashable | None, reading: _Reading) -> None:
        if self._readings.get(key) is reading:
            del self._readings[key]


def _may_be_kept(answer: Answer) -> bool:
    return not answer.errors and answer.size <= MAX_KEPT_BYTES


class Group(NamedTuple):
    """Subscribers who get the same answer to an event."""

    text: str
    operation_name: str | None
    variables: bytes
    """Those that what is selected of an event depends on, as JSON."""
    rights: Hashable


def find_group(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any], actor: Actor
) -> Group | None:
    """The group of a subscription; None for one that nobody can share."""
    if document.loc is None:
        return None
    names = _find_variables(document, operation) if variables else set()
    try:
        sent = orjson.dumps({name: variables[name] for name in names & variables.keys()}, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    return Group(document.loc.source.body, name_of(operation), sent, actor.rights)


def _find_variables(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """The variables that the answer may depend on: all but those that only say which events are streamed."""
    looking = _Variables(operation.selection_set.selections)
    visit(operation.selection_set, looking)
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            visit(definition, looking)
    return looking.names


class _Variables(Visitor):
    """Finds the variables below some fields and in their directives; the arguments of the fields are left out."""

    def __init__(self, roots: tuple[Node, ...]) -> None:
        super().__init__()
        self._left_out = {id(argument) for root in roots for argument in getattr(root, "arguments", None) or ()}
        self.names: set[str] = set()

    def enter_argument(self, node: ArgumentNode, *_place: Any) -> Any:
        """Pass over the arguments that choose the events."""
        return SKIP if id(node) in self._left_out else None

    def enter_variable(self, node: VariableNode, *_place: Any) -> None:
        """Note a variable."""
        self.names.add(node.name.value)
