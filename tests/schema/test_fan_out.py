"""Subscribers with one question share one answer; who has other rights, or another tenant, never meets it."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import fields, replace
from typing import Any, ClassVar

import orjson
import pytest
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    parse,
)

from api.live import EventHub
from api.service import UNAVAILABLE
from loyalty.rules.ids import CustomerId
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import Permission
from schema import fan_out
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.fan_out import Answer, FanOut, find_group
from schema.root import treue_schema
from tenancy.database import Database
from tests.fixtures.live import GENEROUS_SECONDS, buy, relaying, until
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import customer_actor, one_point_per_euro
from tests.schema.test_every_field import asked, possible
from tests.schema.test_statements import no_signer

CUSTOMERS = 3
CHANGES = """
subscription($after: Cursor, $first: Int = 1, $names: Boolean = true) {
  pointsChanged(after: $after) {
    cursor
    entry { points customer { email externalId @include(if: $names) activity(first: $first) { nodes { id } } } }
  }
}
"""


class CountingFanOut(FanOut):
    """Counts what is read, and tells while it is."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.reading = 0

    async def _read(self, read: fan_out.Read) -> Answer:
        self.read += 1
        self.reading += 1
        try:
            return await super()._read(read)
        finally:
            self.reading -= 1


class Process:
    """What one server process gives to all of its subscribers."""

    def __init__(self, world: World, hub: EventHub) -> None:
        self.treue: ExecutableSchema = treue_schema(UNAVAILABLE)
        self.answers = CountingFanOut()
        self.services = Services(
            world, hub, no_signer, lambda _kind: ("", ""), b"key", lambda _text: None, fan_out=self.answers
        )

    async def follow(self, stack: AsyncExitStack, actor: Actor, **variables: Any) -> AsyncGenerator[Any, None]:
        """Yield a subscription from the first event on, which ends with the stack."""
        document = variables.pop("document", CHANGES)
        context = Context(self.services, actor, "request")
        variables.setdefault("after", context.event_cursor(0))
        if "$after" not in document:
            variables = {}
            context.last_event_id = context.event_cursor(0)
        results: Any = await self.treue.stream(document, variable_values=variables, context_value=context)
        return await stack.enter_async_context(aclosing(results))

    async def tell(self, actors: Sequence[Actor], count: int, **variables: Any) -> list[list[Any]]:
        """Return what each of these subscribers is told of the first events, all at the same time."""
        async with AsyncExitStack() as stack:
            followed = [await self.follow(stack, actor, **variables) for actor in actors]
            async with asyncio.timeout(GENEROUS_SECONDS):
                return await asyncio.gather(*(_take(results, count) for results in followed))


async def _take(results: AsyncGenerator[Any, None], count: int) -> list[Any]:
    return [await anext(results) for _ in range(count)]


def _data(results: Sequence[Any]) -> list[Any]:
    assert [result.errors for result in results] == [None] * len(results)
    return [result.data["pointsChanged"] for result in results]


@pytest.fixture
async def bought(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> AsyncIterator[list[CustomerId]]:
    """Let customers of both salons buy something, and provide the customers of the first salon."""
    customers: list[CustomerId] = []
    async with relaying(relay_database):
        for place in (other_salon, salon):
            await create_earning_rule(world, place.manager, one_point_per_euro())
            customers = await buy(world, place, CUSTOMERS)
        yield customers


@pytest.fixture
async def process(world: World, bought: list[CustomerId]) -> AsyncIterator[Process]:  # noqa: ARG001 - there are events
    hub = EventHub(world)
    yield Process(world, hub)
    await hub.stop()


async def test_an_event_is_read_once_for_all_who_ask_the_same(process: Process, salon: Salon) -> None:
    """By whatever person or token, and wherever they begin: everybody is told all, with the cursors."""
    others = [replace(salon.manager, subject=f"staff:{number}", display=str(number)) for number in range(20)]
    told = await process.tell([salon.manager, *others], CUSTOMERS)
    assert process.answers.read == CUSTOMERS
    assert [_data(results) for results in told] == [_data(told[0])] * len(told)
    context = Context(process.services, salon.manager, "request")
    cursors = [context.event_cursor(position) for position in range(1, CUSTOMERS + 1)]
    assert all([result.extensions["cursor"] for result in results] == cursors for results in told)
    async with AsyncExitStack() as stack:
        late = await process.follow(stack, salon.manager, after=cursors[0])
        assert _data(await _take(late, CUSTOMERS - 1)) == _data(told[0][1:])


async def test_tenants_never_share(process: Process, salon: Salon, other_salon: Salon) -> None:
    """Their events stand at the same positions, and they ask the same."""
    mine, others = await process.tell([salon.manager, other_salon.manager], CUSTOMERS)
    assert process.answers.read == 2 * CUSTOMERS
    ids = [{node["id"] for data in _data(results) for node in _nodes(data)} for results in (mine, others)]
    assert all(ids)
    assert not ids[0] & ids[1]


def _nodes(data: Any) -> list[dict[str, str]]:
    nodes: list[dict[str, str]] = data["entry"]["customer"]["activity"]["nodes"]
    return nodes


async def test_a_customer_never_shares_with_the_team(process: Process, salon: Salon, bought: list[CustomerId]) -> None:
    customer = customer_actor(salon.tenant_id, bought[0])
    another = customer_actor(salon.tenant_id, bought[1])
    wanted = "entry { customer { externalId category } actor }"
    document = f"subscription($after: Cursor) {{ pointsChanged(after: $after) {{ {wanted} }} }}"
    team, own, others = await process.tell([salon.manager, customer, another], 1, document=document)
    assert _data(team) == [
        {"entry": {"customer": {"externalId": "customer-0", "category": None}, "actor": "The manager"}}
    ]
    assert _data(own) == [{"entry": {"customer": {"externalId": "customer-0", "category": None}, "actor": "STAFF"}}]
    assert _data(others) == [{"entry": {"customer": {"externalId": "customer-1", "category": None}, "actor": "STAFF"}}]


async def test_an_actor_with_fewer_permissions_shares_no_longer(process: Process, salon: Salon) -> None:
    """The same person, token and document: an actor who may read less is told nothing of what the others read."""
    wanted = "entry { actor customer { email activity { nodes { id } } } }"
    document = f"subscription($after: Cursor) {{ pointsChanged(after: $after) {{ {wanted} }} }}"
    lost = replace(salon.manager, permissions=frozenset({Permission.SELF_READ}))
    narrow = replace(salon.manager, permissions=frozenset({Permission.LOYALTY_READ}))
    for actors in ([salon.manager, lost, narrow], [lost, narrow, salon.manager]):
        process.services.fan_out = FanOut()
        told = dict(zip(actors, await process.tell(actors, 1, document=document), strict=True))
        alone = {}
        for actor in actors:
            process.services.fan_out = FanOut()
            ((alone[actor],),) = await process.tell([actor], 1, document=document)
        for actor in actors:
            assert orjson.dumps(told[actor][0].data) == orjson.dumps(alone[actor].data)
            assert _codes(told[actor][0]) == _codes(alone[actor])
        names = [_data(told[actor])[0]["entry"]["actor"] for actor in (salon.manager, narrow)]
        assert names == ["The manager", "The manager"]
        assert (told[lost][0].data, _codes(told[lost][0])) == (None, [("FORBIDDEN", None)])


def _codes(result: Any) -> list[Any]:
    return [(error.extensions["code"], error.path) for error in result.errors or ()]


async def test_other_variables_get_another_answer(process: Process, salon: Salon) -> None:
    async with AsyncExitStack() as stack:
        named = await process.follow(stack, salon.manager, names=True)
        nameless = await process.follow(stack, salon.manager, names=False)
        ((first,), (second,)) = await asyncio.gather(_take(named, 1), _take(nameless, 1))
    assert "externalId" in first.data["pointsChanged"]["entry"]["customer"]
    assert "externalId" not in second.data["pointsChanged"]["entry"]["customer"]


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("subscription($after: Cursor) { pointsChanged(after: $after) { cursor } }", set()),
        (
            "subscription($a: Int) { x: pointsChanged { entry { customer { activity(first: $a) { totalCount } } } } }",
            {"a"},
        ),
        ("subscription($a: Boolean!) { pointsChanged @include(if: $a) { cursor } }", {"a"}),
        ("subscription { ...F } fragment F on Subscription { pointsChanged(after: $a) { cursor } }", {"a"}),
        (
            "subscription { pointsChanged { ...F } } fragment F on PointsChanged { cursor @skip(if: $a) }",
            {"a"},
        ),
    ],
)
def test_variables_count_where_the_answer_depends_on_them(document: str, names: set[str], salon: Salon) -> None:
    tree = parse(document)
    operation: Any = tree.definitions[0]
    groups = {
        name: find_group(tree, operation, {"after": "c", "a": 1, name: 2}, salon.manager)
        for name in ("after", "a", "z")
    }
    assert {name for name in ("after", "a") if groups[name] != groups["z"]} == names
    assert find_group(tree, operation, {"a": object()}, salon.manager) is None or not names


class WatchedActor(Actor):
    """Notes what is read of it while an event is read."""

    answers: ClassVar[CountingFanOut | None] = None
    noted: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        if WatchedActor.answers is not None and WatchedActor.answers.reading:
            WatchedActor.noted.add(name)
        return super().__getattribute__(name)


def _every_field(schema: GraphQLSchema) -> list[str]:
    """Return a document for each field of each object type that `pointsChanged` leads to, on the shortest way there."""
    frames: dict[str, str] = {"PointsChanged": "%s"}
    documents, waiting = [], ["PointsChanged"]
    while waiting:
        type_name = waiting.pop(0)
        type_ = schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items():
            if any(is_required_argument(argument) for argument in field.args.values()):
                continue
            wanted = frames[type_name] % asked(name, field, schema)
            documents.append(f"subscription {{ pointsChanged {{ cursor {wanted} }} }}")
            page = "(first: 3)" if "first" in field.args else ""
            for below in _object_types(get_named_type(field.type), schema):
                if below not in frames:
                    frames[below] = frames[type_name] % f"{name}{page} {{ __typename ... on {below} {{ %s }} }}"
                    waiting.append(below)
    return documents


def _object_types(type_: Any, schema: GraphQLSchema) -> list[str]:
    if is_leaf_type(type_):
        return []
    return [type_.name] if isinstance(type_, GraphQLObjectType) else [one.name for one in possible(type_, schema)]


async def test_no_field_depends_on_more_of_its_caller_than_the_rights(
    process: Process, salon: Salon, bought: list[CustomerId]
) -> None:
    """A field that tells who asks would be told to all who share the answer: that belongs into `Actor.rights`."""
    documents = _every_field(process.treue._schema)  # noqa: SLF001 - strawberry has no other way to it
    WatchedActor.noted.clear()
    WatchedActor.answers = process.answers
    answered = 0
    try:
        for actor in (salon.manager, customer_actor(salon.tenant_id, bought[0])):
            watched = WatchedActor(**{each.name: getattr(actor, each.name) for each in fields(actor)})
            for document in documents:
                ((result,),) = await process.tell([watched], 1, document=document)
                answered += result.data is not None
    finally:
        WatchedActor.answers = None
    assert answered > len(documents)
    of_rights = {"tenant_id", "kind", "permissions", "customer_id", "former_ids", "locations"}
    of_rights |= {"loyalty_enabled", "loyalty_entitled"}
    assert WatchedActor.noted <= of_rights | {"rights", "__class__"}, WatchedActor.noted
    assert {"permissions", "kind"} <= WatchedActor.noted


# ── who goes away, what fails ─────────────────────────────────────────────────────────────────────────────────────


async def _answer_later(value: Any = 1, errors: list[GraphQLError] | None = None) -> ExecutionResult:
    await asyncio.sleep(0.01)
    return ExecutionResult({"value": value}, errors)


async def _answer_at_once() -> ExecutionResult:
    return ExecutionResult({"value": 1})


async def test_others_are_answered_when_the_first_reader_goes_away() -> None:
    answers = CountingFanOut()
    first = asyncio.create_task(answers.answer("key", _answer_later))
    second = asyncio.create_task(answers.answer("key", _answer_later))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).data == {"value": 1}
    assert answers.read == 1


async def test_a_reading_that_nobody_waits_for_is_given_up() -> None:
    answers = CountingFanOut()
    never = asyncio.Event()

    async def read() -> ExecutionResult:
        await never.wait()
        raise AssertionError

    waiting = [asyncio.create_task(answers.answer("key", read)) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert (answers.reading, len(answers)) == (0, 0)
    assert (await answers.answer("key", _answer_later)).data == {"value": 1}


async def test_a_failed_answer_is_not_kept() -> None:
    answers = CountingFanOut()

    async def fail() -> ExecutionResult:
        await asyncio.sleep(0)
        raise OSError("away")

    both = await asyncio.gather(*(answers.answer("key", fail) for _ in range(2)), return_exceptions=True)
    assert [type(error) for error in both] == [OSError, OSError]
    assert answers.read == 1
    wrong = await answers.answer("key", lambda: _answer_later(2, [GraphQLError("wrong")]))
    assert wrong.errors
    assert (await answers.answer("key", lambda: _answer_later(3))).data == {"value": 3}
    gc.collect()


async def test_answers_are_kept_for_a_moment_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "KEPT_SECONDS", 0.05)
    answers = CountingFanOut()
    for key in range(fan_out.MAX_KEPT_ANSWERS + 50):
        await answers.answer(key, _answer_at_once)
    assert len(answers) <= fan_out.MAX_KEPT_ANSWERS
    await until(lambda: not len(answers))


async def test_a_long_answer_is_shared_and_not_kept() -> None:
    """One caller cannot fill the memory with answers that cost 20,000 points each."""
    answers = CountingFanOut()

    async def read() -> ExecutionResult:
        await asyncio.sleep(0.01)
        return ExecutionResult({"value": "x" * fan_out.MAX_KEPT_BYTES})

    both = await asyncio.gather(*(answers.answer("key", read) for _ in range(2)))
    assert both[0] is both[1]
    await asyncio.sleep(0)
    assert (answers.read, len(answers)) == (1, 0)


def test_the_message_of_an_answer_is_made_once_for_the_same_extensions() -> None:
    answer = Answer(ExecutionResult({"value": 1}))
    assert answer.encode({"cursor": "a"}) is answer.encode({"cursor": "a"})
    assert orjson.loads(answer.encode({"cursor": "b"})) == {"data": {"value": 1}, "extensions": {"cursor": "b"}}
    assert orjson.loads(answer.encode(None)) == {"data": {"value": 1}}
