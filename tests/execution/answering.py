"""Answers of the same operation: by a plan, and by graphql-core."""

from typing import Any, NamedTuple, cast

import orjson
from graphql import ExecutionResult, GraphQLError, parse, validate
from strawberry.schema.schema import Schema, StrawberryGraphQLCoreExecutionContext

from execution.columns import LeafColumns
from execution.plans import Planner, Plans


class Answers(NamedTuple):
    """What both said."""

    planned: ExecutionResult
    plain: ExecutionResult


class Executors:
    """Both ways to answer over one schema."""

    def __init__(self, schema: Schema, columns: dict[str, LeafColumns] | None = None) -> None:
        self.schema = schema._schema  # noqa: SLF001 - strawberry has no other way to it
        self.planner = Planner(self.schema, columns)
        self.grown = 0

    def is_valid(self, document: str) -> bool:
        """Tell whether the document may run at all."""
        return not validate(self.schema, parse(document))

    async def answer(self, document: str, variables: dict[str, Any] | None = None, context: Any = None) -> Answers:
        """Run an operation both ways; it fails for one that has no plan."""
        tree = parse(document)
        plans = Plans(self.planner, tree, self._grow)
        core = self.build(tree, variables, context)
        plan = plans.find(core)
        assert plan is not None, document
        assert plans.find(self.build(tree, variables, context)) is plan
        planned = await plan.run(core)
        plain: Any = self.build(tree, variables, context).execute_operation()
        return Answers(planned, plain if isinstance(plain, ExecutionResult) else await plain)

    def build(self, tree: Any, variables: dict[str, Any] | None = None, context: Any = None) -> Any:
        """Return an execution of graphql-core."""
        core = StrawberryGraphQLCoreExecutionContext.build(
            self.schema, tree, None, context, variables or {}, None, hide_suggestions=True
        )
        assert not isinstance(core, list), core
        return core

    def _grow(self, size: int) -> None:
        self.grown += size


def told(result: ExecutionResult) -> list[bytes]:
    """Return the errors of a result.

    If several errors made one position above them null, only their presence is told.
    """
    errors = cast("list[GraphQLError]", result.errors or [])
    return sorted({orjson.dumps(_told_of(result.data, error.formatted)) for error in errors})


def _told_of(data: Any, error: Any) -> Any:
    path = error.get("path") or ()
    for length, key in enumerate(path):
        if data is None:
            return path[:length]
        data = data[key]
    return error
