"""The spans of GraphQL operations, and of the events of subscriptions.

The span of a subscription ends when it begins to follow. Each event that is read for it has a span of its own.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from graphql import GraphQLError

from schema.masking import ErrorCode
from schema.watching import Operation
from tenancy.tracing import TENANT, Kind, Span, Tracer

UNNAMED = "GraphQL Operation"
"""The name of an operation until its kind is known, as the conventions say."""

EVENT = "subscription event"

OUR_FAULTS = frozenset({ErrorCode.INTERNAL.value, ErrorCode.UNAVAILABLE.value})
"""The codes of errors that make a span failed. Other errors are the caller's, and the span only names them."""


def operation_of(context: Any) -> Operation | None:
    """Return the facts about an operation, if its context holds them."""
    operation: Operation | None = getattr(context, "operation", None)
    return operation


def begin_operation(tracer: Tracer | None, context: Any) -> Span | None:
    """Begin the span of an operation.

    Over a socket it is a request of a client; over HTTP the request has its own span.
    """
    operation = operation_of(context)
    if tracer is None or operation is None:
        return None
    span = operation.span = tracer.begin(UNNAMED, Kind.SERVER if operation.transport == "websocket" else Kind.INTERNAL)
    span.note("treue.transport", operation.transport)
    span.note(TENANT, str(context.caller[0]))
    return span


def describe_operation(operation: Operation | None) -> None:
    """Write the facts about an operation into its span, after its document is read and its cost is known."""
    if operation is None or operation.span is None:
        return
    span = operation.span
    span.rename(operation.kind)
    span.note("graphql.operation.type", operation.kind)
    span.note("treue.root_fields", tuple(operation.fields))
    if operation.name is not None:
        span.note("graphql.operation.name", operation.name)
    if operation.cost is not None:
        span.note("treue.cost", operation.cost)


def end_setup(operation: Operation | None) -> None:
    """End the span of a subscription: from now on it waits for events."""
    if operation is not None and operation.span is not None and operation.kind == "subscription":
        operation.span.end()


def note_errors(operation: Operation | None, errors: Sequence[GraphQLError]) -> None:
    """Note the code of the first top-level error that is a fault of this service, else of the first error.

    The text of an error is never noted.
    """
    if operation is None or operation.span is None:
        return
    codes = [str((error.extensions or {}).get("code")) for error in errors]
    fault = next((code for code in codes if code in OUR_FAULTS), None)
    if fault is None:
        operation.span.note("error.type", codes[0])
    else:
        operation.span.fail(fault)


async def step_within(span: Span, results: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """Yield the results of a stream. Each result is made within the span; its reader is outside of the span."""
    while True:
        with span.within():
            try:
                result = await anext(results)
            except StopAsyncIteration:
                return
        yield result
