"""Documents that are ready to run: parsed, measured, validated, and kept for the next request with the same text.

The order is fixed, and each step limits the work of the next: size, counts, measures, rules, merging. A refused
document is not kept: wrong documents must not push right ones out. New documents of one caller are made ready one after
the other. After an expensive one the caller waits a while, so that other callers are served.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple
from weakref import WeakValueDictionary

from graphql import DocumentNode, GraphQLError, GraphQLSchema

from execution.plans import Planner, Plans
from schema.costs import Costs
from schema.limits import find_excess
from schema.masking import MAX_ERRORS, ErrorCode, refusal
from schema.parsing import parse_document
from schema.validation import validate_document

DOCUMENT_CACHE_BYTES = 8_388_608
"""The memory of the kept documents, as `weigh_document` estimates it: some hundred usual ones.

The garbage collector sometimes looks at all of them at once; for so many that takes 30 ms."""

TOKEN_BYTES = 450
"""The approximate memory of one token of a text as a part of the syntax tree."""


DEAR_SECONDS = 0.02
"""If making a document ready takes more processor time, its caller waits. Usual documents take a quarter of it."""

REST_SHARE = 2
"""The caller then waits so many times as long. So expensive documents of one caller take at most a third of a
process."""


class PreparedDocument(NamedTuple):
    """A document, or the reason why there is none.

    `document` is None if the text could not be parsed. With `errors` the document must not run.
    """

    document: DocumentNode | None
    errors: list[GraphQLError]
    costs: Costs | None = None
    """The costs of its operations; None for a document that must not run."""


class Documents:
    """The documents of one schema. Each kept document has its plans.

    Without a planner no operation is planned.
    """

    def __init__(
        self, schema: GraphQLSchema, max_bytes: int = DOCUMENT_CACHE_BYTES, planner: Planner | None = None
    ) -> None:
        self._schema = schema
        self._max_bytes = max_bytes
        self._planner = planner
        self._kept: OrderedDict[str, tuple[PreparedDocument, int]] = OrderedDict()
        self._plans: dict[int, Plans] = {}
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self.kept_bytes = 0

    def prepare(self, text: str) -> PreparedDocument:
        """Return the document of a text, from the kept ones if possible. Never raises."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept[0]
        prepared = prepare_document(self._schema, text)
        if prepared.document is not None and not prepared.errors:
            self._keep(text, prepared, weigh_document(text, prepared.document))
        return prepared

    def find_plans(self, document: DocumentNode) -> Plans | None:
        """Return the plans of a document; None without a planner.

        The plans of a document that is not kept serve one operation.
        """
        if self._planner is None:
            return None
        return self._plans.get(id(document)) or Plans(self._planner, document, lambda _size: None)

    async def prepare_in_turn(self, text: str, caller: Hashable | None) -> PreparedDocument:
        """Return the document of a text. A new one waits until the caller's other documents are ready. Never raises.

        Without a caller there is no wait.
        """
        if caller is None or text in self._kept:
            return self.prepare(text)
        turn = self._turns.get(caller)
        if turn is None:
            turn = self._turns[caller] = asyncio.Lock()
        async with turn:
            began = time.thread_time()
            prepared = self.prepare(text)
            spent = time.thread_time() - began
            await asyncio.sleep(REST_SHARE * spent if spent >= DEAR_SECONDS else 0)
        return prepared

    def _keep(self, text: str, prepared: PreparedDocument, weight: int) -> None:
        if weight > self._max_bytes:
            return
        self._kept[text] = (prepared, weight)
        self.kept_bytes += weight
        document = prepared.document
        if self._planner is not None and document is not None:
            self._plans[id(document)] = Plans(self._planner, document, lambda size: self._grow(text, document, size))
        self._release()

    def _grow(self, text: str, document: DocumentNode, size: int) -> None:
        """Add the size of a new part of a document's plan.

        If the document is no longer kept, the part ends with its operation.
        """
        kept = self._kept.get(text)
        if kept is not None and kept[0].document is document:
            self._kept[text] = (kept[0], kept[1] + size)
            self.kept_bytes += size
            self._release()

    def _release(self) -> None:
        """Drop the documents that were not used for longest, with their plans, until the others fit."""
        while self.kept_bytes > self._max_bytes:
            _, (prepared, released) = self._kept.popitem(last=False)
            self._plans.pop(id(prepared.document), None)
            self.kept_bytes -= released


def prepare_document(schema: GraphQLSchema, text: str) -> PreparedDocument:
    """Parse, measure and validate a text."""
    document = None
    try:
        document = parse_document(text)
        errors = find_excess(schema, document) or validate_document(schema, document, MAX_ERRORS)
    except GraphQLError as error:
        # The error's frames would hold the tree, and the list of errors would hold these frames.
        errors = [error.with_traceback(None)]
    except RecursionError:
        errors = [refusal(ErrorCode.QUERY_TOO_COMPLEX, "The document is nested too deeply.")]
    costs = None if document is None or errors else Costs(schema, document)
    return PreparedDocument(document, errors, costs)


def weigh_document(text: str, document: DocumentNode) -> int:
    """Return the approximate number of bytes of a kept document."""
    return 3 * len(text) + TOKEN_BYTES * int(getattr(document, "token_count", 0))
