"""Build the executable schema: with limits, kept documents and masked errors.

Parsing and validating is most of the cost of a small operation, so `schema/documents.py` keeps documents that are
ready. No extension of strawberry is used: an extension with `resolve` would make every field several times slower.
"""

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Protocol, cast

import strawberry
from graphql import (
    DefinitionNode,
    DirectiveDefinitionNode,
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    print_ast,
    specified_directives,
)
from strawberry.exceptions import MissingQueryError
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.schema.schema import StreamResult
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from execution.plans import Planner
from schema.batch_inputs import prepare_inputs
from schema.batch_items import let_marks_pass, read_batches
from schema.columns import COLUMNS
from schema.costs import Costs
from schema.delivery import Delivery, StreamFailure
from schema.documents import Documents
from schema.input_values import refuse_unreadable_arguments
from schema.limits import MAX_PAGE_SIZE
from schema.masking import ErrorCode, mask_errors, refusal
from schema.operations import OperationExecution
from schema.persisted import explain_errors, find_document, keep_document
from schema.scalars import SCALARS
from schema.tracing import (
    begin_operation,
    describe_operation,
    end_setup,
    note_errors,
    operation_of,
    step_within,
)
from schema.variables import count_values
from schema.watching import Operation, OperationWatch, Outcome
from tenancy.tracing import Tracer, enter_span

SPECIFIED_DIRECTIVES = frozenset(directive.name for directive in specified_directives)
"""The directives of the GraphQL specification. Every reader knows them, so they are not printed."""

SEVERAL_OPERATIONS = "The document has several operations: name one."


class OperationContext(Protocol):
    """The parts of an operation's context that this package needs."""

    @property
    def request_id(self) -> str:
        """The id in log lines and errors of this operation."""

    @property
    def delivery(self) -> Delivery:
        """The delivery of this operation, if it is a subscription."""


class ExecutableSchema(strawberry.Schema):
    """A strawberry schema whose results hold only masked errors, for every kind of operation."""

    unavailable: tuple[type[Exception], ...] = ()
    watch: OperationWatch | None = None
    """Is called for every operation."""
    tracer: Tracer | None = None
    """Records a span for every operation."""

    def __init__(self, *, planned: bool = True, **values: Any) -> None:
        super().__init__(execution_context_class=OperationExecution, **values)
        planner = Planner(self._schema, COLUMNS) if planned else None
        self.documents = Documents(self._schema, planner=planner)

    async def _prepare_operation_async(
        self,
        context: ExecutionContext,
        extensions_runner: SchemaExtensionsRunner,  # noqa: ARG002 - no extension of ours looks at reading or validating
    ) -> PreExecutionError | None:
        """Prepare an operation before strawberry runs it: the document comes from `Documents`."""
        problem = await find_document(context)
        if problem is not None:
            return _refuse(context, [problem])
        if not context.query:
            raise MissingQueryError
        values = count_values(context.variables)
        if isinstance(values, GraphQLError):
            return _refuse(context, [values])
        caller = getattr(context.context, "caller", None)
        prepared = await self.documents.prepare_in_turn(context.query, caller)
        document = context.graphql_document = prepared.document
        if document is not None:
            _require_operation_type(context)
        if prepared.errors or document is None or prepared.costs is None:
            return _refuse(context, explain_errors(context, prepared.errors))
        operation = get_operation_ast(document, context._provided_operation_name)  # noqa: SLF001
        if operation is None:
            # Strawberry would run the first.
            return _refuse(context, [refusal(ErrorCode.BAD_USER_INPUT, SEVERAL_OPERATIONS)])
        seen = _begin(context, operation, prepared.costs)
        error = await _charge(context, operation, prepared.costs, values)
        describe_operation(seen)
        if error is not None:
            return _refuse(context, [error])
        keep_document(context)
        if context.variables:
            context.variables = cast("dict[str, Any]", await read_batches(self._schema, operation, context.variables))
        end_setup(seen)
        return None

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Run a query or mutation. Raises strawberry's errors if the document names no allowed operation."""
        began = time.perf_counter()
        with enter_span(begin_operation(self.tracer, context_value)):
            result = await super().execute(
                query,
                variable_values=variable_values,
                context_value=context_value,
                root_value=root_value,
                operation_name=operation_name,
                allowed_operation_types=allowed_operation_types,
                operation_extensions=operation_extensions,
            )
            self._mask(result, context_value)
        self._tell_end(context_value, result, began)
        return result

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> StreamResult:
        """Run any operation as a stream of results: one result for a query or mutation, many for a subscription."""
        results = await super().stream(
            query,
            variable_values=variable_values,
            context_value=context_value,
            root_value=root_value,
            operation_name=operation_name,
            operation_extensions=operation_extensions,
            allowed_operation_types=allowed_operation_types,
        )
        return cast("StreamResult", self._masked_stream(results, context_value))

    async def _masked_stream(self, results: Any, context: OperationContext | None) -> AsyncGenerator[Any, None]:
        """Yield the results with masked errors. The first `StreamFailure` is the last result."""
        delivery = Delivery() if context is None else context.delivery
        began, last = time.perf_counter(), None
        span = begin_operation(self.tracer, context)
        steps = results if span is None else step_within(span, results)
        try:
            async with aclosing(results), aclosing(_go_on(steps, delivery)) as told:
                async for result in told:
                    self._mask(result, context)
                    judged = await delivery.judge(result)
                    if judged is not None:
                        last = judged
                        yield judged
                    if isinstance(judged, StreamFailure):
                        return
        except Exception as error:  # noqa: BLE001 - an extension failed outside of what strawberry catches
            last = StreamFailure(data=None, errors=[GraphQLError(str(error), original_error=error)])
            self._mask(last, context)
            yield last
        finally:
            if delivery.subscriber is not None:
                delivery.subscriber.leave()
            if span is not None:
                span.end()
            self._tell_end(context, last, began)

    def _mask(self, result: Any, context: OperationContext | None) -> None:
        """Mask the errors of a result, and add the cost report to its extensions."""
        take_report = getattr(context, "take_cost_report", None)
        report = None if take_report is None else take_report()
        if report is not None:
            result.extensions = {**(result.extensions or {}), "cost": report}
        if result.errors:
            request_id = context.request_id if context is not None else "none"
            before_execution = isinstance(result, PreExecutionError)
            result.errors = mask_errors(result.errors, request_id, self.unavailable, before_execution=before_execution)
            note_errors(operation_of(context), result.errors)
            if self.watch is not None:
                self.watch.note_errors(result.errors)

    def _tell_end(self, context: OperationContext | None, last: Any, began: float) -> None:
        """Tell `watch` how an operation has ended. `last` is its last result; None if it had none."""
        operation = operation_of(context)
        if self.watch is None or operation is None:
            return
        failed = Outcome.REFUSED if isinstance(last, PreExecutionError) else Outcome.FAILED
        outcome = failed if last is not None and last.errors else Outcome.DONE
        self.watch.note_operation(operation, outcome, time.perf_counter() - began)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing here: strawberry would log the text of the document. Masking logs bugs."""


async def _go_on(results: AsyncGenerator[Any, None], delivery: Delivery) -> AsyncGenerator[Any, None]:
    """Yield the results of an operation, then those of the channel that its subscription has joined."""
    async with aclosing(results):
        async for result in results:
            yield result
    if delivery.subscriber is not None:
        async with aclosing(delivery.deliver_from(delivery.subscriber)) as told:
            async for result in told:
                yield result


def _refuse(context: ExecutionContext, errors: list[GraphQLError]) -> PreExecutionError:
    """Return the result of an operation that does not run."""
    context.pre_execution_errors = errors
    return PreExecutionError(data=None, errors=errors)


def _begin(context: ExecutionContext, operation: OperationDefinitionNode, costs: Costs) -> Operation | None:
    """Note the facts about an operation for metrics and traces."""
    seen = operation_of(context.context)
    if seen is not None:
        name = None if operation.name is None else operation.name.value
        seen.begin(operation.operation.value, costs.find_fields(operation), name)
    return seen


async def _charge(
    context: ExecutionContext, operation: OperationDefinitionNode, costs: Costs, values: int
) -> GraphQLError | None:
    """Take an operation's cost from its caller's budget. Returns the error if it costs too much."""
    cost = costs.find(operation, context.variables, values)
    if isinstance(cost, GraphQLError):
        return cost
    charge = getattr(context.context, "charge", None)
    if charge is None:
        return None
    # Events of a subscription come long after it was charged.
    reported = OperationType(operation.operation.value) is not OperationType.SUBSCRIPTION
    error: GraphQLError | None = await charge(cost, reported=reported)
    return error


def _require_operation_type(context: ExecutionContext) -> None:
    """Raise strawberry's errors if the document has no operation of the name, or only one that may not run this way."""
    try:
        operation_type = context.operation_type
    except RuntimeError as error:
        raise CannotGetOperationTypeError(context.operation_name) from error
    if operation_type not in context.allowed_operations:
        raise InvalidOperationTypeError(operation_type)


def build_schema(
    query: type,
    mutation: type | None = None,
    subscription: type | None = None,
    types: Iterable[type] = (),
    unavailable: tuple[type[Exception], ...] = (),
    *,
    planned: bool = True,
) -> ExecutableSchema:
    """Return the schema of the given root types, with this API's scalars, limits and rules for errors.

    `types` are object types that are reached only through interfaces. `unavailable` are exceptions that become
    UNAVAILABLE. Without `planned` graphql-core runs every operation.
    """
    schema = ExecutableSchema(
        planned=planned,
        query=query,
        mutation=mutation,
        subscription=subscription,
        types=types,
        config=StrawberryConfig(scalar_map=dict(SCALARS), relay_max_results=MAX_PAGE_SIZE),
    )
    schema.unavailable = unavailable
    refuse_unreadable_arguments(schema._schema)  # noqa: SLF001 - strawberry has no other way to it
    let_marks_pass(schema._schema)  # noqa: SLF001
    prepare_inputs(schema._schema)  # noqa: SLF001
    return schema


def print_sdl(schema: strawberry.Schema) -> str:
    """Return the schema as text, with definitions in the order of their names, so that a change is a small difference.

    Sorting the schema itself would lose `@oneOf` and break unions at run time, so the printed document is sorted.
    """
    definitions = [node for node in parse(schema.as_str()).definitions if not _is_specified_directive(node)]
    return print_ast(DocumentNode(definitions=tuple(sorted(definitions, key=_sorting_key)))).rstrip() + "\n"


def _is_specified_directive(node: DefinitionNode) -> bool:
    return isinstance(node, DirectiveDefinitionNode) and node.name.value in SPECIFIED_DIRECTIVES


def _sorting_key(node: DefinitionNode) -> tuple[str, str]:
    name = getattr(node, "name", None)
    return (node.kind if name is None else "", "" if name is None else name.value)
