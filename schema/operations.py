"""Run one operation: by its plan if it has one, else as strawberry and graphql-core do."""

from inspect import isawaitable, signature
from typing import Any, Protocol, cast, runtime_checkable

from graphql import ExecutionResult as CoreResult
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.graphql import OperationType

from execution.plans import Plans
from permissions.actor import Actor
from schema.batch_items import ReadVariables
from schema.channels import ReadEvent
from schema.delivery import Delivery
from schema.fan_out import EventResult, FanOut, Group, find_group
from schema.masking import MAX_ERRORS
from schema.tracing import EVENT
from tenancy.tracing import Tracer, trace


@runtime_checkable
class EventContext(Protocol):
    """A context with which a subscription can share its answers."""

    @property
    def actor(self) -> Actor:
        """The subscriber."""

    @property
    def delivery(self) -> Delivery:
        """The event that is being read."""

    @property
    def fan_out(self) -> FanOut:
        """Reads events once for a group of subscriptions."""

    def ask(self, group: Group | None, read: ReadEvent) -> None:
        """Keep the question of a subscription: the group it shares answers with, and how to read an event."""

    def for_event(self, position: int) -> "EventContext":
        """Return a context in which a channel reads the event at a position."""


SUBSCRIPTION = OperationType.SUBSCRIPTION.value
_SIGNATURE_OF_BUILD = signature(StrawberryGraphQLCoreExecutionContext.build)
_PLACE_OF_MAX_ERRORS = list(_SIGNATURE_OF_BUILD.parameters).index("max_coercion_errors")
"""The position of the argument with which graphql-core limits the errors about variables."""
_PLACE_OF_VARIABLES = list(_SIGNATURE_OF_BUILD.parameters).index("raw_variable_values")


class OperationExecution(StrawberryGraphQLCoreExecutionContext):
    """Runs operations by their plan if they have one, else as strawberry and graphql-core do.

    Errors about variables have no suggestions, and there are only a few of them.
    """

    plans: Plans | None = None
    """The plans of the document."""

    event_context: EventContext | None = None
    """The context of a subscription that shares its answers. It is looked up once, not for each event."""
    group: Group | None = None
    """The group with which a subscription shares its answers."""
    tracer: Tracer | None = None
    """Records a span for each event that is read."""

    @classmethod
    def build(cls, *args: Any, **values: Any) -> Any:
        """Return an execution, or the errors that prevent it: at most `MAX_ERRORS`.

        The last one says if there are more.
        """
        values["hide_suggestions"] = True
        if len(args) > _PLACE_OF_MAX_ERRORS:
            args = (*args[:_PLACE_OF_MAX_ERRORS], MAX_ERRORS - 1, *args[_PLACE_OF_MAX_ERRORS + 1 :])
        else:
            values["max_coercion_errors"] = MAX_ERRORS - 1
        place = _PLACE_OF_VARIABLES
        variables = args[place] if len(args) > place else values.get("raw_variable_values")
        if isinstance(variables, ReadVariables):
            named = _SIGNATURE_OF_BUILD.bind(*args, **values)
            named.arguments["raw_variable_values"] = variables.unread
            args, values = named.args, named.kwargs
        schema, document = args[:2]
        execution: Any = super().build(*args, **values)
        if isinstance(execution, OperationExecution):
            if isinstance(variables, ReadVariables):
                variables.complete(execution.variable_values)
            execution.plans = schema._strawberry_schema.documents.find_plans(document)  # noqa: SLF001
            context = execution.context_value
            if execution.operation.operation.value == SUBSCRIPTION and isinstance(context, EventContext):
                execution.event_context = context
                execution.tracer = schema._strawberry_schema.tracer  # noqa: SLF001
                execution.group = find_group(document, execution.operation, variables or {}, context.actor)
                context.ask(execution.group, execution.read_event)
        return execution

    def execute_operation(self, serially: bool | None = None) -> Any:  # noqa: FBT001 - graphql-core passes it so
        """Run the operation, or one event of a subscription. If its plan has begun, it is never begun again."""
        return self._run(serially) if self.event_context is None else self._answer_event(self.event_context)

    async def read_event(self, value: object, position: int) -> EventResult:
        """Read an event for a channel, in a context of its own: events read at the same time share no loaders."""
        if self.event_context is None:
            raise TypeError("only a subscription reads events")
        event: Any = self.build_per_event_executor(value)
        event.event_context = event.context_value = self.event_context.for_event(position)
        result: EventResult = await event.execute_operation(False)
        return result

    async def _answer_event(self, context: EventContext) -> EventResult:
        position = context.delivery.position
        key = None if self.group is None or position is None else (self.group, position)
        answer = await context.fan_out.answer(key, self._run_traced)
        return EventResult(data=answer.data, errors=answer.errors, answer=answer)

    async def _run_traced(self) -> CoreResult:
        with trace(self.tracer, EVENT):
            result = self._run(False)
            return cast("CoreResult", await result if isawaitable(result) else result)

    def _run(self, serially: bool | None) -> Any:  # noqa: FBT001 - graphql-core passes it so
        plan = None if self.plans is None else self.plans.find(self)
        return super().execute_operation(serially) if plan is None else plan.run(self)
