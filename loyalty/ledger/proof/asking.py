"""The list of all questions of the proof, and the functions that ask them."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Executable, text

from loyalty.ledger.proof import (
    accounts,
    accruals,
    adjustments,
    customers,
    entries,
    events,
    facts,
    figures,
    gift_cards,
    keys,
    lots,
    opening_balances,
    points_paid,
    programs,
    purchases,
    redemptions,
    refunds,
    tiers,
)
from loyalty.ledger.proof.question import Broken, Source
from loyalty.ledger.proof.slicing import EVERYTHING, Slice, Slices
from tenancy.database import Transaction

MAX_EXAMPLES = 3

_GATHERED = (
    *entries.SOURCES,
    *accounts.SOURCES,
    *accruals.SOURCES,
    *lots.SOURCES,
    *redemptions.SOURCES,
    *purchases.SOURCES,
    *adjustments.SOURCES,
    *gift_cards.SOURCES,
    *figures.SOURCES,
)
_ASKED_ONCE = {
    **accounts.QUESTIONS,
    **accruals.QUESTIONS,
    **lots.QUESTIONS,
    **customers.QUESTIONS,
    **tiers.QUESTIONS,
    **keys.QUESTIONS,
    **points_paid.QUESTIONS,
    **purchases.QUESTIONS,
    **refunds.QUESTIONS,
    **opening_balances.QUESTIONS,
    **events.QUESTIONS,
    **programs.QUESTIONS,
    **gift_cards.QUESTIONS,
    **figures.QUESTIONS,
}
_SLICED = tuple(
    Source(rows, {name: Broken(*broken) for name, broken in invariants.items()})
    for rows, invariants in facts.SLICED_QUESTIONS.items()
)
_WHOLE = tuple(Source(question, {name: Broken("true", "*")}) for name, question in _ASKED_ONCE.items())
_SOURCES = (*_GATHERED, *_SLICED, *_WHOLE)

INVARIANTS: Sequence[str] = tuple(dict.fromkeys(name for source in _SOURCES for name in source.invariants))
"""The names of all invariants. Each name says in English what must be true."""


class Difference(NamedTuple):
    """An invariant that does not hold: the number of rows that break it, and some of these rows."""

    invariant: str
    rows: int
    examples: list[dict[str, Any]]

    def __str__(self) -> str:
        """Return the difference as one line for people."""
        shown = "; ".join(str(example) for example in self.examples)
        return f"Not so in {self.rows} rows: {self.invariant}: {shown}"


class Pass(NamedTuple):
    """A source to ask, and the slice of it to read."""

    source: Source
    slice: Slice


WHOLE_PASSES = [Pass(source, EVERYTHING) for source in _SOURCES if source.sliced_by is None]
"""The passes that read the whole ledger at once. Together with all sliced passes, in any order, they prove a ledger."""


def list_sliced_passes(slices: Slices) -> list[Pass]:
    """Return the passes that read the ledger in slices.

    For each slice come the passes of all its sources, so that its rows are still in memory for the second one.
    """
    sources = {by: [source for source in _SOURCES if source.sliced_by == by] for by in Slices._fields}
    return [Pass(source, one) for by in Slices._fields for one in getattr(slices, by) for source in sources[by]]


async def run_pass(tx: Transaction, asked: Pass) -> list[Difference]:
    """Run one pass inside one tenant. Return the invariants that do not hold, each with examples of broken rows."""
    source, by = asked.source, asked.source.sliced_by
    bounds = {f"first_{by}": asked.slice.first, f"last_{by}": asked.slice.last} if by else {}
    (counts,) = await tx.rows(_build_count_statement(source), **bounds)
    differences = []
    for (invariant, broken), rows in zip(source.invariants.items(), counts, strict=True):
        if rows:
            found = await tx.rows(_build_example_statement(source, broken), **bounds)
            examples = [row._asdict() for row in found]
            differences.append(Difference(invariant, rows, examples))
    return differences


async def find_differences(tx: Transaction) -> list[Difference]:
    """Check every invariant, one pass after another. The transaction must see one snapshot of the database."""
    passes = (*WHOLE_PASSES, *list_sliced_passes(Slices()))
    return merge_differences([difference for asked in passes for difference in await run_pass(tx, asked)])


def merge_differences(found: Iterable[Difference]) -> list[Difference]:
    """Merge the differences of several passes into one for each invariant, in the order of INVARIANTS."""
    merged: dict[str, Difference] = {}
    for one in found:
        known = merged.get(one.invariant, Difference(one.invariant, 0, []))
        examples = [*known.examples, *one.examples][:MAX_EXAMPLES]
        merged[one.invariant] = Difference(one.invariant, known.rows + one.rows, examples)
    return sorted(merged.values(), key=lambda it: INVARIANTS.index(it.invariant))


@cache
def _build_count_statement(source: Source) -> Executable:
    """Return the statement that counts, in one row, the rows that break each invariant of a source."""
    counts = ", ".join(f"count(*) FILTER (WHERE {broken.when})" for broken in source.invariants.values())
    return text(f"SELECT {counts} FROM ({source.rows}) AS found")  # noqa: S608 - made of constants


@cache
def _build_example_statement(source: Source, broken: Broken) -> Executable:
    """Return the statement that finds at most MAX_EXAMPLES rows that break one invariant."""
    return text(
        f"SELECT {broken.shows} FROM ({source.rows}) AS found WHERE {broken.when} LIMIT {MAX_EXAMPLES}"  # noqa: S608 - as above
    )
