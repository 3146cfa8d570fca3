"""Whatever is asked is answered byte for byte as graphql-core would: the same data, and the same errors.

Two schemas read the same tenant, in which every kind of object stands; one of them plans, the other does not.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import strawberry
from graphql import OperationType
from strawberry.types import ExecutionResult

from api.issuer import Issuer
from api.service import customer_token_signer, hash_of_secret, make_secret
from execution.plans import PLANNED_FIELD_BYTES, Plan, Planner
from execution.selections import Selection
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from permissions.actor import Actor
from schema.context import Context, Services
from schema.documents import Documents
from schema.executable import build_schema
from schema.root import treue_schema
from tenancy.database import Database
from tests.fixtures.tenants import salon_of
from tests.loyalty.services.builders import customer_actor, position_all_events
from tests.schema.random_documents import Operation, Pool, fill_variables, write_operation
from tests.schema.test_every_field import ANNA, Asking, Life, Nobody, WholeLog, asked
from tests.schema.written_operations import find_written_operations
from tests.soak import SEED, SOAK

RANDOM_OPERATIONS = 20_000 if SOAK else 500
NOT_COMPARED = frozenset({"ledgerVerification"})
"""It reads the whole ledger, and says when it did."""


class Business(NamedTuple):
    """A tenant with everything in it, and who asks there."""

    services: Services
    actors: Sequence[Actor]
    pool: Pool


@pytest.fixture(scope="module")
async def business(
    world: World, owner_world: World, relay_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Business:
    """Provide a tenant that has lived through every mutation."""
    folder: Path = tmp_path_factory.mktemp("issuer")
    tenant = await provision_tenant(
        owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", sandbox=True
    )
    salon = salon_of(tenant)
    signer = customer_token_signer(Issuer.generate(folder / "key.pem"))
    services = Services(world, WholeLog(world), signer, make_secret, b"key", hash_of_secret)
    asking = Asking(treue_schema(), services, salon.owner)
    life = Life(asking)
    for part in (life.set_up, life.earn, life.spend, life.move):
        await part()
    await position_all_events(relay_database)
    await asking.query_everything()
    anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    ids = [*sorted(asking.seen.ids), "bm9ib2R5", ""]
    # The clock stands still, so that two answers show the same time.
    now = world.clock()
    services.world = replace(world, clock=lambda: now)
    return Business(services, (salon.owner, customer_actor(salon.tenant_id, anna.id)), make_pool(ids))


def make_pool(ids: list[str]) -> Pool:
    """Return values that lead to something, and some that lead nowhere or are refused."""
    key = {"kind": "ORDER", "externalId": "order-1"}
    return Pool(
        scalars={
            "ID": ids,
            "String": ["anna", "ben", "order-1", "an", "", "x" * 300],
            "Int": [0, 1, 5, -1, 2**31 - 1],
            "Boolean": [True, False],
            "Points": [0, 10, 20, -1, 1.5, 10**15],
            "Decimal": ["1.00", "50.00", "1e5", "12,30"],
            "CurrencyCode": ["EUR", "USD", "XXQ"],
            "Date": ["2026-01-01", "2099-01-01", "2026-02-30"],
            "DateTime": ["2026-01-01T00:00:00Z", "2099-01-01T00:00:00+01:00", "2026-01-01T00:00:00"],
            "Cursor": ["MjAyNi0wMy0wMQ", "no cursor"],
            "Duration": ["P1D"],
        },
        inputs={
            "CustomerBy": [ANNA, {"externalId": "ben"}, {"externalId": "eva"}, {"id": ids[0]}, {"email": "a@b.de"}, {}],
            "PurchaseBy": [{"key": key}, {"key": {**key, "externalId": "none"}}, {"id": ids[0]}],
            "DateRange": [
                {"from": "2026-01-01", "to": "2099-01-01"},
                {"from": "2026-12-31", "to": "2026-01-01"},
            ],
        },
    )


class Twins:
    """The same API twice: with plans, and without."""

    def __init__(self, business: Business) -> None:
        self.planned = treue_schema()
        self.plain = treue_schema(planned=False)
        self.schema = self.planned._schema  # noqa: SLF001 - strawberry has no other way to it
        self._services = business.services
        self.errors = 0
        self.answers = 0

    async def compare(self, operation: Operation, actor: Actor, name: str | None = None) -> None:
        """Ask both, and fail where they differ."""
        planned, plain = [
            await schema.execute(
                operation.document,
                variable_values=operation.variables,
                operation_name=name,
                context_value=Context(self._services, actor, "request"),
            )
            for schema in (self.planned, self.plain)
        ]
        where = f"{operation.document}\n{operation.variables}"
        assert orjson.dumps(planned.data) == orjson.dumps(plain.data), where
        assert told(planned) == told(plain), where
        self.errors += len(plain.errors or ())
        self.answers += plain.data is not None


def told(result: ExecutionResult) -> list[bytes]:
    """Return the errors of a result.

    Where several fields below a position make it null, it depends on who fails first which of them is told: of these
    errors it only counts that there are some.
    """
    return sorted({orjson.dumps(told_of(result.data, error.formatted)) for error in result.errors or ()})


def told_of(data: Any, error: Any) -> Any:
    """Return an error as it was told; for one that made more than its own position null, the path of what is null."""
    path: Sequence[str | int] = error.get("path") or ()
    for length, key in enumerate(path):
        if data is None:
            return path[:length]
        data = data[key]
    return error


@pytest.fixture
def planned_runs(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Provide the plans that ran, so that nobody compares graphql-core with itself."""
    runs: list[Plan] = []
    run = Plan.run

    async def noted(self: Plan, core: Any) -> Any:
        runs.append(self)
        return await run(self, core)

    monkeypatch.setattr(Plan, "run", noted)
    return runs


@pytest.mark.soak
async def test_random_operations_are_answered_alike(business: Business, planned_runs: list[Plan]) -> None:
    twins = Twins(business)
    chance = random.Random(SEED)  # noqa: S311 - no secrets
    for number in range(RANDOM_OPERATIONS):
        operation = write_operation(twins.schema, business.pool, chance, NOT_COMPARED)
        await twins.compare(operation, business.actors[number % 2])
    assert len(planned_runs) > RANDOM_OPERATIONS / 2
    assert twins.answers > RANDOM_OPERATIONS / 4
    assert twins.errors > RANDOM_OPERATIONS / 10


async def test_written_operations_are_answered_alike(business: Business, planned_runs: list[Plan]) -> None:
    """Every query of the documentation and of the tests, with variables that mean something and some that do not."""
    twins = Twins(business)
    chance = random.Random(SEED)  # noqa: S311 - no secrets
    written = [one for one in find_written_operations(twins.schema) if one.kind is OperationType.QUERY]
    for one in written:
        for actor in business.actors:
            variables = fill_variables(twins.schema, business.pool, chance, one.variables)
            await twins.compare(Operation(one.document, variables), actor, one.name)
    assert len(written) > 100
    assert len(planned_runs) > len(written)
    assert twins.answers > len(written)


class Noting(Asking):
    """Somebody who remembers every answer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.answers: list[tuple[str, Any]] = []

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Run a document, and note what it said."""
        answer = await super().ask(document, **variables)
        self.answers.append((document, answer))
        return answer

    async def follow(self, name: str) -> None:
        """Follow a subscription from the first event to the last, and note each."""
        subscription = self.schema.subscription_type
        assert subscription is not None
        document = f"subscription {{ {asked(name, subscription.fields[name], self.schema)} }}"
        context = Context(self._services, self._actor, "request")
        async for result in await self._treue.subscribe(document, context_value=context):
            if result.data is None:
                break
            self.answers.append((document, result.data))


async def test_mutations_and_events_say_and_do_the_same(
    world: World, owner_world: World, relay_database: Database, tmp_path: Path, planned_runs: list[Plan]
) -> None:
    """Two tenants live the same life, one by plans: every payload and every event."""
    signer = customer_token_signer(Issuer.generate(tmp_path / "key.pem"))
    services = Services(world, WholeLog(world), signer, make_secret, b"key", hash_of_secret)
    lives = []
    for planned in (True, False):
        tenant = await provision_tenant(
            owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", sandbox=True
        )
        asking = Noting(treue_schema(planned=planned), services, salon_of(tenant).owner)
        life = Life(asking)
        for part in (life.set_up, life.earn, life.spend, life.move):
            await part()
        await position_all_events(relay_database)
        assert asking.schema.subscription_type is not None
        for name in asking.schema.subscription_type.fields:
            await asking.follow(name)
        lives.append(asking)
    ours, theirs = lives
    assert ours.seen.problems == theirs.seen.problems == []
    assert len(planned_runs) >= len(ours.answers) > 50
    same = Alike()
    for (document, answer), (_, other) in zip(ours.answers, theirs.answers, strict=True):
        assert same.compare(answer, other), document


class Alike:
    """Compares the answers of two tenants: what only one of them can have stands for what the other has."""

    def __init__(self) -> None:
        self._partners: dict[str, str] = {}

    def compare(self, one: Any, other: Any) -> bool:
        """Tell whether two answers say the same."""
        if isinstance(one, dict) and isinstance(other, dict):
            return list(one) == list(other) and all(self.compare(one[key], other[key]) for key in one)
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(self.compare, one, other))
        if one == other or not (isinstance(one, str) and isinstance(other, str)):
            return bool(one == other) and type(one) is type(other)
        if any(form.fullmatch(one) and form.fullmatch(other) for form in (INSTANT, CARD_CODE)):
            return True
        return len(one) == len(other) > 20 and self._partners.setdefault(one, other) == other


INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
CARD_CODE = re.compile(r"[0-9A-Z]{6}-[0-9A-Z]{6}-[0-9A-Z]{6}")
"""Of a gift card; each is another one."""


async def test_a_bug_of_the_executor_is_internal_and_no_mutation_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    @strawberry.type
    class Query:
        one: int

    @strawberry.type
    class Mutation:
        @strawberry.field
        def add(self) -> int:
            runs.append(1)
            return len(runs)

    async def stumble(*arguments: Any) -> Any:
        await run(*arguments)
        raise ZeroDivisionError

    run = Selection.complete_serially
    monkeypatch.setattr(Selection, "complete_serially", stumble)
    result = await build_schema(Query, Mutation).execute("mutation { add }")
    assert runs == [1]
    assert result.data is None
    assert [error.extensions["code"] for error in result.errors or ()] == ["INTERNAL"]  # type: ignore[index]


async def test_a_bug_in_planning_leaves_the_operation_to_graphql_core(monkeypatch: pytest.MonkeyPatch) -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def one(self) -> int:
            return 1

    monkeypatch.setattr("execution.plans.choose_resolver", lambda *_: 1 / 0)
    result = await build_schema(Query).execute("{ one }")
    assert (result.data, result.errors) == ({"one": 1}, None)


async def test_the_plans_of_a_document_count_in_its_weight_and_leave_with_it() -> None:
    treue = treue_schema()
    text = "{ __typename viewer { name } }"
    document = treue.documents.prepare(text).document
    assert document is not None
    before = treue.documents.kept_bytes
    await treue.execute(text, context_value=Nobody())
    assert treue.documents.kept_bytes >= before + 4 * PLANNED_FIELD_BYTES
    assert treue.documents.find_plans(document) is not None
    small = Documents(treue._schema, 6_000, Planner(treue._schema))  # noqa: SLF001 - strawberry has no other way to it
    first = small.prepare("{ viewer { name } }").document
    for number in range(10):
        small.prepare(f"{{ a{number}: __typename }}")
    assert first is not None
    made = [small.find_plans(first), small.find_plans(first)]
    assert None not in made
    assert made[0] is not made[1], "what is not kept is planned for one operation"
    assert 0 < small.kept_bytes <= 6_000
