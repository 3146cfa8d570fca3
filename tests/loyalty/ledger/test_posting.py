"""Rows of a posting are typed: none is lost, and no misspelt name looks like something else."""

import importlib
import re
import sys
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from loyalty.ledger import rows
from loyalty.ledger.parts import PARTS, add_part, move_part, refuse_class_without_part
from loyalty.ledger.posting import Posting, post, post_and_commit, posting_statement
from loyalty.ledger.rows import ChangedLot, ExpiryNotice, LedgerEntry
from loyalty.rules.ids import LotId
from loyalty.rules.lots import LotState
from loyalty.rules.redemption import HoldState
from loyalty.services.world import World
from loyalty.storage.holds import HoldRow, read_holds_by_id
from loyalty.storage.tables import expiry_notices, hold_lots, holds
from tenancy.retry import StaleRead
from tenancy.statements import compile_statement
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import earn, give, order, set_redemption
from tests.loyalty.services.builders import hold as set_aside


class Forgotten(NamedTuple):
    """A row class that somebody has forgotten to write."""

    id: UUID


class Misspelt(NamedTuple):
    """A row for `expiry_notices` with a wrong name."""

    lot_id: LotId
    expires_at: Any
    days_befor: int
    told_at: Any


def test_refuses_a_row_class_without_a_part() -> None:
    """A posting would lose its rows."""
    with pytest.raises(TypeError, match="no part of a posting writes Forgotten"):
        refuse_class_without_part([ExpiryNotice, Forgotten])


def test_refuses_to_import_rows_that_nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is compared with the row classes when it is imported."""
    forgotten = type("Forgotten", (Forgotten,), {"__module__": rows.__name__})
    monkeypatch.setattr(rows, "Forgotten", forgotten, raising=False)
    monkeypatch.delitem(sys.modules, "loyalty.ledger.parts")
    with pytest.raises(TypeError, match="Forgotten"):
        importlib.import_module("loyalty.ledger.parts")


def test_refuses_a_row_of_an_unknown_class() -> None:
    posting = Posting()
    with pytest.raises(TypeError, match="no part of a posting adds Forgotten"):
        posting.add(Forgotten(uuid7()))
    with pytest.raises(TypeError, match="no part of a posting moves LedgerEntry"):
        posting.move(LedgerEntry(*[None] * len(LedgerEntry._fields)))  # type: ignore[arg-type]
    assert posting.encode() == {}


def test_refuses_a_field_that_is_no_column() -> None:
    """Otherwise the column would be NULL."""
    known = list(PARTS)
    with pytest.raises(TypeError, match=r"Misspelt and expiry_notices differ in \['days_befor', 'days_before'\]"):
        add_part(Misspelt, expiry_notices)
    with pytest.raises(TypeError, match=r"Misspelt has no \['days_before'\]"):
        move_part(Misspelt, expiry_notices, ("days_before",), name="misspelt", key=("lot_id",))
    assert known == PARTS


def test_refuses_to_write_a_class_in_two_ways() -> None:
    with pytest.raises(TypeError, match="HoldRow is written by holds already"):
        add_part(HoldRow, holds)
    with pytest.raises(TypeError, match="hold_lots is the name of another part already"):
        move_part(ExpiryNotice, hold_lots, (), name="hold_lots", key=())


async def test_refuses_a_move_without_what_was_seen(world: World, salon: Salon) -> None:
    """Also the other way round: what compares nothing must be locked."""
    hold = await _hold(world, salon)
    posting = Posting()
    with pytest.raises(TypeError, match="a move of HoldRow needs the row as it was read"):
        posting.move(hold)
    lot = ChangedLot(LotId(uuid7()), 0, 0, 0, LotState.EXHAUSTED, None, None)
    with pytest.raises(TypeError, match="a move of ChangedLot compares nothing"):
        posting.move(lot, seen=lot)
    assert posting.encode() == {}


async def test_begins_anew_when_a_row_is_not_as_it_was_seen(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    hold = await _hold(world, salon)
    ended = hold._replace(state=HoldState.RELEASED, ended_at=hold.created_at + timedelta(minutes=1))
    for seen in (hold._replace(lowered_points=1), hold._replace(state=HoldState.EXPIRED)):
        async with nothing_changes(salon.tenant_id):
            with pytest.raises(StaleRead):
                await _move(world, salon, (ended, seen))


def test_nothing_in_a_posting_divides_but_what_refuses_it() -> None:
    """A division by zero means that the posting is stale, so no other part may divide."""
    whole = compile_statement(posting_statement(frozenset(part.name for part in PARTS))).text.decode()
    assert len(re.findall(r" / | % |\b(?:mod|div)\(", whole)) == 1


async def test_begins_anew_when_the_configuration_has_changed(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    hold = await _hold(world, salon)
    ended = hold._replace(state=HoldState.RELEASED, ended_at=hold.created_at + timedelta(minutes=1))
    posting = Posting()
    posting.move(ended, seen=hold)
    posting.config_version = 1
    for write in (post, post_and_commit):
        async with nothing_changes(salon.tenant_id):
            with pytest.raises(StaleRead):
                async with world.database.tenant_transaction(salon.tenant_id) as tx:
                    await write(tx, posting)


async def test_writes_a_row_once_that_is_moved_twice(world: World, salon: Salon) -> None:
    """As it is last, where it is stored as it was first seen: one statement cannot write a row twice."""
    hold = await _hold(world, salon)
    lowered = hold._replace(lowered_points=10, lowered_at=hold.created_at)
    ended = lowered._replace(state=HoldState.RELEASED, ended_at=hold.created_at)
    await _move(world, salon, (lowered, hold), (ended, lowered))
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        assert (await read_holds_by_id(tx, [hold.id]))[hold.id] == ended


async def _hold(world: World, salon: Salon) -> HoldRow:
    await set_redemption(world, salon)
    await earn(world, salon, order(total=10_000))
    await give(world, salon, 100, "give")
    return (await set_aside(world, salon, 50, "hold")).hold


async def _move(world: World, salon: Salon, *moves: tuple[HoldRow, HoldRow]) -> None:
    posting = Posting()
    for row, seen in moves:
        posting.move(row, seen=seen)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        await post(tx, posting)
