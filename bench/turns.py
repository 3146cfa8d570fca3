"""Measure how long documents keep a process busy between two looks of the event loop at its sockets.

The time between two looks is a stretch. The valid documents of the tests' corpus, and some that cost nearly as much as
an operation may, are prepared and run in this process. The tenant has 100 customers with 20 purchases each.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from api.server import settle_memory
from api.service import UNAVAILABLE, customer_token_signer, hash_of_secret, make_secret
from bench.service import Service
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import PurchaseRecording
from schema.context import Context, EventFeed, Services
from schema.documents import prepare_document
from schema.executable import ExecutableSchema
from schema.introspection import USUAL_QUERY
from schema.root import treue_schema

CUSTOMERS = 100
PURCHASES = 20
SHOWN = 12
REPEATS = 3
"""The number of measurements of which the median is shown."""


def _aliases(count: int, field: str) -> str:
    """Return a field so many times, each time under another alias."""
    return " ".join(f"a{number}: {field}" for number in range(count))


_PAGE = "{{ customers(first: 100) {{ nodes {{ {} }} }} }}"
DEAR_DOCUMENTS: Mapping[str, str] = {
    "introspection": USUAL_QUERY,
    "fields that fail": _PAGE.format(_aliases(9, "activity(first: 0) { __typename }")),
    "fields that fail in a list": _PAGE.format(
        "activity(first: 7) { nodes { customer { activity(first: 0) { __typename } } } }"
    ),
    "notes of entries": _PAGE.format(f"activity(first: 20) {{ nodes {{ {_aliases(7, 'note')} }} }}"),
    "ids of entries": _PAGE.format(f"activity(first: 20) {{ nodes {{ {_aliases(7, 'id')} }} }}"),
    "entries": _PAGE.format("activity(first: 20) { nodes { id entryKind color displayColor note points occurredAt } }"),
    "counts": _PAGE.format(_aliases(4, "activity(first: 1) { totalCount }")),
    "pages": f"{{ {_aliases(49, 'customers(first: 100) { edges { cursor } }')} }}",
    "purchases": _PAGE.format("purchases(first: 20) { nodes { id kind status total { amount currency } } }"),
}
"""Documents that cost nearly as much as an operation may."""


class NoFeed(EventFeed):
    """A feed without followers."""

    def follow(self, *_arguments: Any) -> Any:
        """Fail: no document asks for it."""
        raise NotImplementedError

    def join(self, *_arguments: Any) -> Any:
        """Fail: no document asks for it."""
        raise NotImplementedError

    def leave(self, place: Any) -> None:
        """Fail: no document asks for it."""
        raise NotImplementedError


class Stretch(NamedTuple):
    """The longest stretch of a document, and its processor time in sum, in seconds."""

    longest: float
    total: float
    name: str


class _Stopwatch:
    """A stopwatch for the longest time between two looks of the loop at its sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._selector: Any = loop._selector  # type: ignore[attr-defined]  # noqa: SLF001 - the only way to it
        self._select = self._selector.select
        self._selector.select = self._look
        self.begin()

    def begin(self) -> None:
        """Begin to measure."""
        self._since = self._began = time.thread_time()
        self._longest = 0.0

    def end(self, name: str) -> Stretch:
        """Return what was measured since `begin`."""
        now = time.thread_time()
        return Stretch(max(self._longest, now - self._since), now - self._began, name)

    def _look(self, timeout: float | None = None) -> Any:
        """Look at the sockets in place of the loop, and note the time since the last look."""
        self._longest = max(self._longest, time.thread_time() - self._since)
        ready = self._select(timeout)
        self._since = time.thread_time()
        return ready

    def stop(self) -> None:
        """Leave the loop as it was."""
        self._selector.select = self._select


async def tell_stretches(service: Service) -> None:
    """Print the documents with the longest stretches: at the first run, and at a run of a prepared document."""
    await _record(service)
    schema = treue_schema(UNAVAILABLE)
    services = Services(
        service.world, NoFeed(), customer_token_signer(service.issuer), make_secret, b"bench", hash_of_secret
    )
    documents = dict(_valid_documents(schema))
    stopwatch = _Stopwatch(asyncio.get_running_loop())
    settle_memory()

    async def run(name: str, text: str) -> Stretch:
        await asyncio.sleep(0)
        stopwatch.begin()
        await schema.execute(text, context_value=Context(services, service.manager, "bench"))
        return stopwatch.end(name)

    fresh, kept = [], []
    for name, text in documents.items():
        # A comment makes a document of its own, which has to be made ready.
        fresh.append(_median([await run(name, f"{text} # {number}") for number in range(REPEATS)]))
        kept.append(_median([await run(name, text) for _ in range(REPEATS + 1)][1:]))
    stopwatch.stop()
    for title, stretches in (("made ready and run", fresh), ("run again", kept)):
        print(f"{len(stretches)} valid documents, {title}; the longest stretches:", flush=True)
        for longest, total, name in sorted(stretches, reverse=True)[:SHOWN]:
            print(f"  {longest * 1000:6.1f} ms of {total * 1000:7.1f} ms  {name}", flush=True)


def _median(stretches: Sequence[Stretch]) -> Stretch:
    """Return the medians of several measurements of a document."""
    longest = statistics.median(each.longest for each in stretches)
    return Stretch(longest, statistics.median(each.total for each in stretches), stretches[0].name)


def _valid_documents(schema: ExecutableSchema) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each valid document."""
    # The corpus belongs to the tests; the layers keep the product from leaning on it.
    from tests.schema.hostile import hostile_documents  # noqa: PLC0415

    core = schema._schema  # noqa: SLF001 - the only way to it
    for number, document in enumerate(hostile_documents()):
        prepared = prepare_document(core, document.text)
        if not prepared.errors and prepared.document is not None and len(prepared.document.definitions) == 1:
            yield f"{document.family} {document.size} ({number})", document.text
    for name, text in DEAR_DOCUMENTS.items():
        errors = prepare_document(core, text).errors
        if errors:
            raise SystemExit(f"{name} is not valid: {errors[0].message}")
        yield name, text


async def _record(service: Service) -> None:
    """Record the purchases of all customers."""
    recordings = [
        PurchaseRecording(
            PurchaseReport(PurchaseKind.ORDER, f"dear-{customer}-{number}", Money(1000, "EUR")),
            PurchaseStatus.COMPLETED,
            CustomerProfile(f"customer-{customer}"),
        )
        for customer in range(1, CUSTOMERS + 1)
        for number in range(PURCHASES)
    ]
    for start in range(0, len(recordings), 1_000):
        await record_purchases(service.world, service.manager, recordings[start : start + 1_000])
