"""Read an event once for all subscribers who get the same answer.

Subscribers with the same question, the same tenant and the same rights get the same answer. One task reads it, and all
of them wait for the task, so no subscriber depends on another one that may leave. Each subscriber has its own position,
filter, errors and repeated attempts.
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
"""The number of events that one process reads at the same time, so that subscriptions leave connections to requests."""

KEPT_SECONDS = 2.0
"""The time for which an answer is kept for subscribers who come to the event later."""

MAX_KEPT_ANSWERS = 200
"""The number of answers that a process keeps. The oldest answers are dropped first."""

MAX_KEPT_BYTES = 65_536
"""The largest JSON of an answer that is kept, in bytes. A longer answer is shared only by subscribers who wait
for it."""

Read = Callable[[], Awaitable[CoreResult]]


class Answer:
    """The answer to an event, and its JSON for the subscribers. It is never changed."""

    __slots__ = ("_encoded", "_extensions", "_payload", "data", "errors")

    def __init__(self, result: CoreResult) -> None:
        self.data = result.data
        self.errors: list[GraphQLError] | None = result.errors
        self._encoded = orjson.dumps(result.data)
        self._payload: str | None = None
        self._extensions: object = None

    @property
    def size(self) -> int:
        """The bytes of its JSON."""
        return len(self._encoded)

    def encode(self, extensions: Mapping[str, Any] | None) -> str:
        """Return the payload of a message with the answer. For equal extensions it is made once."""
        if self._payload is None or self._extensions != extensions:
            told = b',"extensions":' + orjson.dumps(extensions) if extensions else b""
            self._extensions = dict(extensions or {})
            self._payload = (b'{"data":' + self._encoded + told + b"}").decode()
        return self._payload


@dataclass
class EventResult(ExecutionResult):
    """The result of one subscriber: the shared answer, with its own errors and extensions."""

    answer: Answer = field(kw_only=True)


class _Reading:
    """A running task that reads an answer, and the number of subscribers who wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.waiting = 0


class FanOut:
    """The answers of one process. Only a limited number of them is read at the same time."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(EVENTS_AT_ONCE)
        self._readings: dict[Hashable, _Reading] = {}

    def __len__(self) -> int:
        return len(self._readings)

    async def answer(self, key: Hashable | None, read: Read) -> Answer:
        """Return the answer for a key. The first subscriber who asks starts the reading.

        Without a key nothing is shared. A reading without waiting subscribers is cancelled. A failed one is not kept,
        so a new attempt reads again.
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
    """The variables on which the selection of an event depends, as JSON."""
    rights: Hashable


def find_group(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any], actor: Actor
) -> Group | None:
    """Return the group of a subscription; None for a subscription that cannot share its answers."""
    if document.loc is None:
        return None
    names = _find_variables(document, operation) if variables else set()
    try:
        sent = orjson.dumps({name: variables[name] for name in names & variables.keys()}, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    return Group(document.loc.source.body, name_of(operation), sent, actor.rights)


def _find_variables(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """Return the variables on which the answer may depend: all except those that only choose the events."""
    looking = _Variables(operation.selection_set.selections)
    visit(operation.selection_set, looking)
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            visit(definition, looking)
    return looking.names


class _Variables(Visitor):
    """Finds the variables below some fields and in their directives. The arguments of these fields are left out."""

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
