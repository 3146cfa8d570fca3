"""One posting is one statement: everything that one decision changes is written together or not at all.

A posting consists of rows of known classes. They travel as JSON parameters. So the statement is the same for one
purchase and for a thousand, and PostgreSQL plans it once. The statement itself fails if the posting is stale, so COMMIT
can travel with it.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Integer, and_, bindparam, cast, false, func, literal_column, or_, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from loyalty.ledger.part import Part, PostedRow
from loyalty.ledger.parts import ADDED, MOVED, PARTS
from loyalty.storage.tables import programs
from tenancy.database import Transaction
from tenancy.outage import sqlstate_of
from tenancy.retry import StaleRead
from tenancy.table import tenant_parameter

Row = TypeVar("Row", bound=PostedRow)
Moves = dict[tuple[Any, ...], tuple[PostedRow, PostedRow | None]]

_TAKEN = frozenset({"23503", "23505"})
"""foreign_key_violation and unique_violation (PostgreSQL, appendix A)."""
_STALE = "22012"
"""division_by_zero: a stale posting divides by zero to fail. Nothing else in the statement divides."""
_VERSION = "decided_with"


class Posting:
    """The rows that one transaction writes to the ledger.

    ``config_version`` is the configuration that the decision was made with; None if it depends on no configuration.
    """

    __slots__ = ("_added", "_moved", "config_version")

    def __init__(self) -> None:
        self._added: dict[type[PostedRow], list[Any]] = {}
        self._moved: dict[type[PostedRow], Moves] = {}
        self.config_version: int | None = None

    def add(self, row: PostedRow) -> None:
        """Add a new row. Raises TypeError for a class that `loyalty.ledger.parts` does not know as new."""
        rows = self._added.get(type(row))
        if rows is None:
            _part_of(ADDED, row)
            rows = self._added[type(row)] = []
        rows.append(row)

    def move(self, row: Row, *, seen: Row | None = None) -> None:
        """Change a stored row to ``row``. ``seen`` is the row as it was read; a locked row needs none.

        If another transaction has changed the row since it was read, the whole transaction runs again. A row that is
        moved twice is written once, in its last state, and compared with its first ``seen``. Raises TypeError for a
        class that `loyalty.ledger.parts` does not know as one that moves, and if ``seen`` is missing or not needed.
        """
        part = _part_of(MOVED, row)
        if bool(part.seen) != (seen is not None):
            needed = "needs the row as it was read" if part.seen else "compares nothing: it must be locked"
            raise TypeError(f"a move of {type(row).__name__} {needed}")
        moves = self._moved.setdefault(type(row), {})
        key = tuple([getattr(row, name) for name in part.key])
        moves[key] = (row, moves[key][1] if key in moves else seen)

    def added(self, row_class: type[Row]) -> list[Row]:
        """Return the new rows of a class, in the order in which they were added."""
        return self._added.get(row_class, [])

    def encode(self) -> dict[Part, list[dict[str, Any]]]:
        """Return the rows as JSON objects, for each part of the statement that has rows."""
        encoded = {}
        for row_class, rows in self._added.items():
            part = ADDED[row_class]
            encoded[part] = [part.encode(row) for row in rows]
        for row_class, moves in self._moved.items():
            part = MOVED[row_class]
            encoded[part] = [part.encode(row, seen) for row, seen in moves.values()]
        return encoded


def _part_of(registry: dict[type[PostedRow], Part], row: PostedRow) -> Part:
    """Return the part that writes rows of this class. Raises TypeError if there is none."""
    part = registry.get(type(row))
    if part is None:
        raise TypeError(f"no part of a posting {'adds' if registry is ADDED else 'moves'} {type(row).__name__}")
    return part


@cache
def posting_statement(names: frozenset[str]) -> Any:
    """Return the statement that writes the parts ``names``.

    It fails if the configuration has changed since the decision, or a counted part writes fewer rows than were sent.
    """
    filled = [part for part in PARTS if part.name in names]
    version = select(programs.c.config_version).where(programs.c.tenant_id == tenant_parameter()).scalar_subquery()
    decided_with = bindparam(_VERSION, type_=BigInteger)
    conditions = [or_(decided_with.is_(None), version == decided_with)]
    for part in filled:
        if part.counted:
            saved = select(func.count()).select_from(part.statement.cte(f"saved_{part.name}")).scalar_subquery()
            conditions.append(saved == bindparam(_name_count(part), type_=BigInteger))
    written = [statement.cte(name) for part in filled if not part.counted for name, statement in part.statements(names)]
    return select(literal_column("1") // cast(func.coalesce(and_(*conditions), false()), Integer)).add_cte(*written)


def _name_count(part: Part) -> str:
    """Return the name of the parameter that says how many rows a part must write."""
    return f"rows_of_{part.name}"


async def post(tx: Transaction, posting: Posting) -> None:
    """Write a posting. The transaction goes on.

    Raises StaleRead if another transaction has changed a purchase, an accrual or a key of the posting meanwhile, or the
    rules, tiers or settings. The transaction then runs again. Without that, an account could keep a tier of old
    settings: the re-tiering job may have passed the account already.
    """
    await _write(tx.run, posting)


async def post_and_commit(tx: Transaction, posting: Posting) -> None:
    """Write a posting as ``post`` does, and commit the transaction in the same round trip."""
    await _write(tx.run_and_commit, posting)


async def _write(run: Callable[..., Awaitable[object]], posting: Posting) -> None:
    """Run the posting statement with ``run``. Raises StaleRead if the posting is stale."""
    encoded = posting.encode()
    filled = {part.name: rows for part, rows in encoded.items()}
    expected = {_name_count(part): len(rows) for part, rows in encoded.items() if part.counted}
    try:
        await run(posting_statement(frozenset(filled)), **filled, **expected, **{_VERSION: posting.config_version})
    except IntegrityError as error:
        # Another transaction has recorded the same purchase version, or imported the same opening balance. Any of their
        # constraints may fail first.
        if any(part.races for part in encoded) and sqlstate_of(error) in _TAKEN:
            raise StaleRead from error
        raise
    except DBAPIError as error:
        if sqlstate_of(error) == _STALE:
            raise StaleRead from error
        raise
