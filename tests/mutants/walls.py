"""Ways to make the wall of a table weaker, each as DDL and its undoing, and the attacks that must notice it."""

from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

import pytest
from sqlalchemy import Table, text

from loyalty.services.world import World
from tenancy.table import metadata
from tests.tenancy import test_attacks as attacks
from tests.tenancy.catalogue import Connection, find_gaps
from tests.tenancy.neighbours import Neighbour
from tests.tenancy.test_wall import KNOWN_GAPS

POLICIES = """
    SELECT policyname, cmd, roles::text[], qual, with_check FROM pg_policies WHERE tablename = %s ORDER BY policyname
"""


class Stage(NamedTuple):
    """A database of its own with two tenants who look alike, as the application and as the owner of the tables."""

    world: World
    owner_world: World
    ours: Neighbour
    theirs: Neighbour
    owner: Connection


class Mutant(NamedTuple):
    """A wall that is weaker by one thing."""

    name: str
    table: Table
    breach: str

    def __str__(self) -> str:
        """Return the name of the mutant as it is printed."""
        return f"{self.table.name}: {self.name}"


def breed(owner: Connection) -> Iterator[Mutant]:
    """Yield one mutant for each part of each wall in the database."""
    for table in metadata.sorted_tables:
        yield Mutant("row-level security off", table, f"ALTER TABLE {table.name} DISABLE ROW LEVEL SECURITY")
        yield Mutant("not forced", table, f"ALTER TABLE {table.name} NO FORCE ROW LEVEL SECURITY")
        for policy, _, _, using, check in owner.execute(POLICIES, (table.name,)).fetchall():
            change = f"ALTER POLICY {policy} ON {table.name}"
            yield Mutant(f"{policy} dropped", table, f"DROP POLICY {policy} ON {table.name}")
            if using == "true":
                # It holds for one role alone, so what can be taken away is the role.
                yield Mutant(f"{policy} for everybody", table, f"{change} TO PUBLIC")
                continue
            if using:
                yield Mutant(f"{policy} without USING", table, f"{change} USING (true)")
            if check:
                yield Mutant(f"{policy} without WITH CHECK", table, f"{change} WITH CHECK (true)")


async def find_killer(stage: Stage, mutant: Mutant) -> str | None:
    """Return the name of the first attack that notices a mutant, or None. The wall is whole again afterwards.

    The breach stands in a database of its own, so it is committed: all connections of the application meet it.
    """
    before = _wall_of(stage.owner, mutant.table)
    stage.owner.execute(mutant.breach.encode())
    try:
        for attack in ATTACKS:
            if await _notices(attack, stage, mutant.table):
                return attack.__name__.removeprefix("_").replace("_", " ")
        return None
    finally:
        for statement in before:
            stage.owner.execute(statement.encode())


async def find_false_alarms(stage: Stage, table: Table) -> list[str]:
    """Return which attacks fail at a wall that is whole: they could not be believed."""
    return [attack.__name__ for attack in ATTACKS if await _notices(attack, stage, table)]


def _wall_of(owner: Connection, table: Table) -> list[str]:
    """Return the DDL that builds the wall of a table as it stands now."""
    statements = [
        f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table.name} FORCE ROW LEVEL SECURITY",
    ]
    for name, command, roles, using, check in owner.execute(POLICIES, (table.name,)).fetchall():
        policy = f"CREATE POLICY {name} ON {table.name} FOR {command} TO {', '.join(roles)}"
        conditions = [f" {word} ({text_})" for word, text_ in (("USING", using), ("WITH CHECK", check)) if text_]
        statements += [f"DROP POLICY IF EXISTS {name} ON {table.name}", policy + "".join(conditions)]
    return statements


# ── attacks ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _reads_without_a_condition(stage: Stage, table: Table) -> None:
    if table.name == "token_directory":
        await attacks.test_the_directory_shows_nothing_without_a_credential(stage.world, stage.ours)
    else:
        await attacks.test_a_read_without_any_condition_shows_only_our_rows(
            stage.world, stage.ours, stage.theirs, table
        )


async def _inserts_a_row_of_theirs(stage: Stage, table: Table) -> None:
    if table.name == "token_directory":
        await attacks.test_no_credential_can_be_led_into_another_tenant(stage.world, stage.ours, stage.theirs)
    else:
        await attacks.test_a_row_for_them_is_refused(stage.world, stage.ours, stage.theirs, table)


async def _pushes_rows_over_the_wall(stage: Stage, table: Table) -> None:
    if table.name != "token_directory":
        await attacks.test_our_rows_cannot_be_pushed_over_the_wall(stage.world, stage.ours, stage.theirs, table)


async def _reads_as_the_owner_of_the_tables(stage: Stage, table: Table) -> None:
    """Attack as the owner of the tables: row-level security that is not forced does not hold for the owner."""
    async with attacks.inside(stage.owner_world.database, stage.ours.salon.tenant_id) as connection:
        seen = (await connection.execute(text(f"SELECT tenant_id FROM {table.name}"))).scalars().all()
    assert set(seen) == {stage.ours.salon.tenant_id}


async def _presents_a_credential(stage: Stage, table: Table) -> None:
    if table.name == "token_directory":
        _forget_credentials(stage.world)
        await attacks.test_a_credential_leads_to_its_tenant_only(stage.world, stage.ours, stage.theirs)


async def _follows_logs(stage: Stage, table: Table) -> None:
    if table.name == "event_positions":
        await attacks.test_a_follower_of_logs_sees_how_far_they_reach_and_nothing_else(
            stage.world, stage.ours, stage.theirs
        )


async def _reads_the_catalogue_of_postgresql(stage: Stage, table: Table) -> None:
    """Look into PostgreSQL's own tables for what no role can attack from outside, such as what the relay sees."""
    new = set(find_gaps(stage.owner)) - KNOWN_GAPS
    assert not {one for one in new if one.startswith(f"{table.name} ")}


def _forget_credentials(world: World) -> None:
    """Let a process ask the database again where a credential leads."""
    world.database._ways.clear()  # noqa: SLF001 - there is no other way to forget them


ATTACKS: tuple[Callable[[Stage, Table], Awaitable[None]], ...] = (
    _reads_without_a_condition,
    _inserts_a_row_of_theirs,
    _pushes_rows_over_the_wall,
    _reads_as_the_owner_of_the_tables,
    _presents_a_credential,
    _follows_logs,
    _reads_the_catalogue_of_postgresql,
)
"""From outside first: what is seen and written as the application, then as the owner; at last what PostgreSQL says."""


async def _notices(attack: Callable[[Stage, Table], Awaitable[None]], stage: Stage, table: Table) -> bool:
    """Tell whether an attack fails at a wall."""
    try:
        await attack(stage, table)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however an attack fails, it has noticed
        return True
    return False
