"""Every way an operation can fail ends in one of ten codes with the request id, and bugs stay inside."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError
from structlog.testing import capture_logs

from loyalty.rules.errors import (
    FeatureDisabled,
    IdempotencyConflict,
    InsufficientPoints,
    InvalidInput,
    LoyaltyError,
    NotEntitled,
    NotFound,
    PermissionDenied,
    Problem,
)
from schema.delivery import Delivery
from schema.executable import build_schema
from schema.masking import MAX_ERRORS, ErrorCode, ReaderTooSlow, refusal

SECRET = "postgresql://treue_app:hunter2@db/treue"


class DatabaseGone(Exception):
    """Stands for what a driver raises when the server is away."""


class Busy(LoyaltyError):
    code = "BUSY"
    transient = True


FAILURES: dict[str, Exception] = {
    "denied": PermissionDenied("LOYALTY_READ"),
    "disabled": FeatureDisabled("loyalty"),
    "not_entitled": NotEntitled("loyalty"),
    "invalid": InvalidInput([Problem(("min_points",), "must be positive"), Problem(("name",), "is blank")]),
    "missing": NotFound("customer"),
    "conflict": IdempotencyConflict("k"),
    "refused": InsufficientPoints(5, 10),
    "busy": Busy("Try again."),
    "gone": DatabaseGone(SECRET),
    "slow": ReaderTooSlow(),
    "limited": refusal(ErrorCode.RATE_LIMITED, "Too many requests.", retryAfterSeconds=3),
    "bug": RuntimeError(SECRET),
    "key": KeyError(SECRET),
    "deep": RecursionError(SECRET),
    "graphql": GraphQLError(SECRET),
    "foreign_code": GraphQLError(SECRET, extensions={"code": "SOMETHING_ELSE"}),
}


def fail(how: str) -> str:
    raise FAILURES[how]


@strawberry.type
class Item:
    how: str

    @strawberry.field
    def fails(self) -> str | None:
        return fail(self.how)


@strawberry.input(one_of=True)
class By:
    id: strawberry.Maybe[strawberry.ID]
    name: strawberry.Maybe[str]


@strawberry.type
class Query:
    @strawberry.field
    def found(self, by: By) -> bool:
        return by.id is not None

    @strawberry.field
    def fails(self, how: str) -> str | None:
        return fail(how)

    @strawberry.field
    def number(self, value: int = 5) -> int:
        return value

    @strawberry.field
    def absent(self) -> str:
        return None  # type: ignore[return-value]

    @strawberry.field
    def large(self) -> int:
        return 2**40

    @strawberry.field
    def items(self, count: int) -> list[Item]:
        return [Item(how="bug") for _ in range(count)]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def fails(self, how: str) -> str:
        return fail(how)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def fails(self, how: str, after: int = 0) -> AsyncGenerator[int, None]:
        for number in range(after):
            yield number
        fail(how)

    @strawberry.subscription
    async def items(self) -> AsyncGenerator[Item, None]:
        yield Item(how="bug")


@dataclass
class Context:
    request_id: str
    delivery: Delivery = field(default_factory=Delivery)


SCHEMA = build_schema(Query, Mutation, Subscription, unavailable=(DatabaseGone,))

EXPECTED = [
    ("denied", "FORBIDDEN", "The permission LOYALTY_READ is missing."),
    ("disabled", "FEATURE_DISABLED", "The feature loyalty is switched off."),
    ("not_entitled", "FEATURE_DISABLED", "The platform does not grant the feature loyalty to this tenant."),
    ("invalid", "BAD_USER_INPUT", "minPoints: must be positive; name: is blank"),
    ("missing", "BAD_USER_INPUT", "There is no such customer."),
    ("conflict", "BAD_USER_INPUT", "This idempotency key was used before with another input."),
    ("refused", "BAD_USER_INPUT", "10 points are required, 5 are available."),
    ("busy", "UNAVAILABLE", "Try again."),
    ("gone", "UNAVAILABLE", "The service cannot answer at the moment. Try again shortly."),
    ("slow", "UNAVAILABLE", ReaderTooSlow.message),
    ("limited", "RATE_LIMITED", "Too many requests."),
    ("bug", "INTERNAL", "Something went wrong on our side. Quote the request id when you report it."),
    ("key", "INTERNAL", "Something went wrong on our side. Quote the request id when you report it."),
    ("deep", "INTERNAL", "Something went wrong on our side. Quote the request id when you report it."),
    ("graphql", "INTERNAL", "Something went wrong on our side. Quote the request id when you report it."),
    ("foreign_code", "INTERNAL", "Something went wrong on our side. Quote the request id when you report it."),
]


async def run(query: str, **variables: object) -> list[dict[str, Any]]:
    result = await SCHEMA.execute(query, variable_values=dict(variables), context_value=Context("req-1"))
    return [dict(error.formatted) for error in result.errors or []]


def test_every_failure_has_an_expected_answer() -> None:
    assert {how for how, _, _ in EXPECTED} == set(FAILURES)


@pytest.mark.parametrize("operation", ["query", "mutation"])
@pytest.mark.parametrize(("how", "code", "message"), EXPECTED)
async def test_masks_what_a_resolver_raises(operation: str, how: str, code: str, message: str) -> None:
    [error] = await run(f"{operation} ($how: String!) {{ fails(how: $how) }}", how=how)
    assert error["message"] == message
    assert error["extensions"]["code"] == code
    assert error["extensions"]["requestId"] == "req-1"
    assert error["path"] == ["fails"]
    assert SECRET not in str(error)


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(("how", "code", "message"), EXPECTED)
async def test_masks_what_a_subscription_raises(after: int, how: str, code: str, message: str) -> None:
    stream = await SCHEMA.stream(
        "subscription ($how: String!, $after: Int!) { fails(how: $how, after: $after) }",
        variable_values={"how": how, "after": after},
        context_value=Context("req-2"),
    )
    results: list[Any] = [result async for result in stream]
    assert len(results) == after + 1
    [error] = results[-1].errors
    assert (error.message, error.extensions["code"], error.extensions["requestId"]) == (message, code, "req-2")


async def test_masks_errors_inside_the_events_of_a_subscription() -> None:
    stream = await SCHEMA.stream("subscription { items { how fails } }", context_value=Context("req-3"))
    results: list[Any] = [result async for result in stream]
    assert results[0].data == {"items": {"how": "bug", "fails": None}}
    assert results[0].errors[0].extensions == {"code": "INTERNAL", "requestId": "req-3"}


async def test_details_of_a_refusal_are_in_the_extensions() -> None:
    [error] = await run('{ fails(how: "invalid") }')
    assert error["extensions"]["problems"] == [
        {"path": ["minPoints"], "reason": "must be positive"},
        {"path": ["name"], "reason": "is blank"},
    ]
    [error] = await run('{ fails(how: "limited") }')
    assert error["extensions"]["retryAfterSeconds"] == 3
    [error] = await run('{ fails(how: "refused") }')
    assert error["extensions"]["reason"] == "INSUFFICIENT_POINTS"


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", {}, "BAD_USER_INPUT"),
        ("", {}, None),
        ("{ nope }", {}, "BAD_USER_INPUT"),
        ("{ number(value: true) }", {}, "BAD_USER_INPUT"),
        ("query ($v: Int!) { number(value: $v) }", {}, "BAD_USER_INPUT"),
        ("query ($v: Int!) { number(value: $v) }", {"v": "5"}, "BAD_USER_INPUT"),
        ("query ($v: Int!) { number(value: $v) }", {"v": 2**31}, "BAD_USER_INPUT"),
        ("query ($v: Int) { number(value: $v) }", {"v": None}, "BAD_USER_INPUT"),
        ("query ($v: Boolean!) { number @include(if: $v) }", {"v": None}, "BAD_USER_INPUT"),
        ("{ found(by: {}) }", {}, "BAD_USER_INPUT"),
        ('{ found(by: {id: "1", name: "Ada"}) }', {}, "BAD_USER_INPUT"),
        ("query ($by: By!) { found(by: $by) }", {"by": {}}, "BAD_USER_INPUT"),
        ("query ($by: By!) { found(by: $by) }", {"by": {"id": "1", "name": "Ada"}}, "BAD_USER_INPUT"),
        ("query ($by: By!) { found(by: $by) }", {"by": {"id": None}}, "BAD_USER_INPUT"),
        ("query ($by: By!) { found(by: $by) }", {"by": {"id": []}}, "BAD_USER_INPUT"),
        ("query ($by: By!) { found(by: $by) }", {"by": {"surname": "x"}}, "BAD_USER_INPUT"),
        ("query ($by: By!) { found(by: $by) }", {"by": [[[]]]}, "BAD_USER_INPUT"),
        ("query ($id: ID) { found(by: {id: $id}) }", {"id": None}, "BAD_USER_INPUT"),
        ("{ absent }", {}, "INTERNAL"),
        ("{ large }", {}, "INTERNAL"),
    ],
)
async def test_tells_mistakes_in_the_request_from_bugs(
    query: str, variables: dict[str, object], code: str | None
) -> None:
    if code is None:
        with pytest.raises(Exception, match="query"):
            await run(query, **variables)
        return
    errors = await run(query, **variables)
    assert [error["extensions"]["code"] for error in errors] == [code]


async def test_logs_a_bug_once_with_its_request_id_and_without_the_query() -> None:
    query = 'query Forged($secret: Int!) { fails(how: "bug") other: number(value: $secret) }'
    with capture_logs() as lines:
        await run(query, secret=41111111)
    [line] = lines
    assert line["log_level"] == "error"
    assert line["request_id"] == "req-1"
    assert line["place"] == "fails"
    assert line["exc_info"][1] is FAILURES["bug"]
    assert "Forged" not in str(line)
    assert "41111111" not in str(line)


@pytest.mark.parametrize("how", ["denied", "invalid", "missing", "gone", "slow", "limited"])
async def test_a_refusal_is_no_log_entry(how: str, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as lines:
        await run(f'{{ fails(how: "{how}") }}')
    assert lines == []
    assert caplog.records == []


async def test_shows_a_bounded_number_of_errors() -> None:
    errors = await run("{ items(count: 100) { fails } }")
    assert len(errors) == MAX_ERRORS


async def test_long_messages_are_cut() -> None:
    errors = await run("{ number(value: $" + "x" * 5_000 + ") }")
    assert all(len(error["message"]) <= 500 for error in errors)


async def test_cancelling_an_operation_is_not_an_error() -> None:
    with capture_logs() as lines:
        stream = await SCHEMA.stream('subscription { fails(how: "bug", after: 5) }', context_value=Context("req-4"))
        first: Any = await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0)
    assert first.data == {"fails": 0}
    assert lines == []
