"""The stage of the lives: the real services on a real database, with an event loop that plain functions can use."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from uuid import UUID

import psycopg
import uvloop
from psycopg.rows import class_row

from loyalty.rules.earning import CatalogItem, CatalogKind, Conditions, Weekday
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.ids import TenantId
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.tenant import provision_tenant
from loyalty.services.tier import create_tier
from loyalty.services.verification import verify_ledger
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.tenants import CODE_KEYS, Salon, salon_of
from tests.lifecycle.basket import BONUS_POINTS, WAX_POINTS
from tests.lifecycle.model import Refusal
from tests.loyalty.services.builders import one_point_per_euro, rule, set_redemption
from tests.soak import SEED

T = TypeVar("T")

TIERS = {"Silver": 50, "Gold": 150}

_LOOK = """
SELECT c.external_id AS name, a.available, a.pending, a.held, a.debt, a.lifetime_earned, a.qualifying,
       t.min_points AS tier, e.points::bigint AS entered, l.lots
FROM customers c
JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id
LEFT JOIN tiers t ON t.tenant_id = a.tenant_id AND t.id = a.tier_id
CROSS JOIN LATERAL (SELECT coalesce(sum(points), 0) AS points FROM entries
                    WHERE tenant_id = a.tenant_id AND customer_id = a.customer_id) e
CROSS JOIN LATERAL (SELECT jsonb_agg(jsonb_build_array(remaining, held, extract(epoch FROM expires_at)::bigint)
                                     ORDER BY expires_at NULLS LAST, opened_at, id) AS lots
                    FROM lots WHERE tenant_id = a.tenant_id AND customer_id = a.customer_id AND state = 'OPEN') l
WHERE c.tenant_id = %s
"""


_LOOK_AT_CARDS = """
SELECT c.id, c.balance_minor, c.held_minor, c.voided_at IS NOT NULL AS is_void, h.external_id AS holder,
       b.external_id AS buyer, c.expires_at, s.minor::bigint AS spent_minor
FROM gift_cards c
LEFT JOIN customers h ON h.tenant_id = c.tenant_id AND h.id = c.holder_id
LEFT JOIN customers b ON b.tenant_id = c.tenant_id AND b.id = c.buyer_id
CROSS JOIN LATERAL (SELECT -coalesce(sum(amount_minor), 0) AS minor FROM gift_card_entries
                    WHERE tenant_id = c.tenant_id AND gift_card_id = c.id AND kind IN ('SPENT', 'RETURNED')) s
WHERE c.tenant_id = %s
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """An account as it is stored, with its open lots in the order in which they are spent.

    A lot is (remaining, held, expiry).
    """

    name: str
    available: int
    pending: int
    held: int
    debt: int
    lifetime_earned: int
    qualifying: int
    tier: int | None
    entered: int
    lots: list[tuple[int, int, int | None]] | None


@dataclass(frozen=True, slots=True)
class SeenCard:
    """A gift card as it is stored, with the names of its holder and its buyer."""

    id: UUID
    balance_minor: int
    held_minor: int
    spent_minor: int
    is_void: bool
    holder: str | None
    buyer: str | None
    expires_at: datetime | None


class Lifetime(NamedTuple):
    """A salon for one life."""

    world: World
    salon: Salon


@dataclass
class Stage:
    """Connections and an event loop for many lives, one after another."""

    urls: DatabaseUrls
    steps: int = 0
    lives: int = 0
    happened: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What was done, and how it ended: "done", or the code of the refusal."""
    _runner: asyncio.Runner = field(default_factory=lambda: asyncio.Runner(loop_factory=uvloop.new_event_loop))

    def __enter__(self) -> Self:
        self._app = Database(self.urls.app, pool_size=2, name="treue-lives")
        self._owner = Database(self.urls.owner, pool_size=1, name="treue-lives-owner")
        self._eye = self.run(psycopg.AsyncConnection.connect(self.urls.app, autocommit=True, prepare_threshold=1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._eye.close())
        self.run(self._app.close())
        self.run(self._owner.close())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of a service, and return its result."""
        return self._runner.get_loop().run_until_complete(work)

    def begin(self) -> Lifetime:
        """Create a salon: a point per euro, more on weekends and for wax, two tiers, points that can be spent."""
        self.lives += 1
        return self.run(self._begin())

    def look(self, salon: Salon) -> dict[str, Seen]:
        """Read all accounts of a salon, in one statement outside of the transactions of the services."""
        return self.run(self._look(salon.tenant_id))

    def prove(self, salon: Salon) -> None:
        """Return the invariants that do not hold, as `treue verify` checks them."""
        differences = self.run(verify_ledger(World(self._app), salon.tenant_id)).differences
        assert not differences, "\n".join(str(difference) for difference in differences)

    def look_at_cards(self, salon: Salon) -> dict[UUID, SeenCard]:
        """Read all gift cards of a salon."""
        return self.run(self._look_at_cards(salon.tenant_id))

    def do_both(self, what: str, said: Callable[[], Any], done: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Let the model say what must happen, and let the service do it. Return both results; None after a refusal."""
        expected = refused = made = result = None
        try:
            made = said()
        except Refusal as refusal:
            expected = str(refusal)
        try:
            result = self.run(done())
        except LoyaltyError as error:
            refused = error.code
        assert refused == expected
        self.count(what, expected or "done")
        return None if expected else (made, result)

    def count(self, what: str, ending: str = "done") -> None:
        """Count a step."""
        self.steps += 1
        self.happened[what, ending] += 1

    def note(self, what: str) -> None:
        """Count the subject of a step, in addition to the step."""
        self.happened[what, "told"] += 1

    def report(self, seconds: float) -> None:
        """Print what happened in a run, and how often."""
        for (what, ending), count in sorted(self.happened.items()):
            print(f"{what:>22} {ending:<28} {count:>7}")  # noqa: T201 - what the run has seen
        print(  # noqa: T201 - what the run is for
            f"{self.steps} steps in {self.lives} lives, {self.steps / seconds:.0f} steps a second "
            f"(seed {SEED}, {seconds:.0f} s)"
        )

    def refuse_rare(self, operations: Iterable[str], *, one_in: int) -> None:
        """Fail for an operation that was done, or told of, too seldom to prove anything."""
        seen = {what: self.happened[what, "done"] + self.happened[what, "told"] for what in operations}
        rare = {what: count for what, count in seen.items() if count < self.steps // one_in}
        assert not rare, f"too seldom to prove anything: {rare}"

    async def _begin(self) -> Lifetime:
        """Create a salon with its rules, its tiers and its checkout."""
        tenant = await provision_tenant(
            World(self._owner), name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE"
        )
        world, salon = World(self._app, codes=CODE_KEYS), salon_of(tenant)
        await create_earning_rule(world, salon.manager, one_point_per_euro())
        days = Conditions(weekdays=frozenset({Weekday.FRI, Weekday.SAT}))
        await create_earning_rule(world, salon.manager, rule(BONUS_POINTS, name="Weekend", conditions=days))
        wax = CatalogItem(CatalogKind.PRODUCT, "wax", "Wax", points_per_unit=WAX_POINTS)
        await upsert_catalog_items(world, salon.manager, CatalogEdit([wax], []))
        await set_redemption(world, salon)
        for name, minimum in TIERS.items():
            await create_tier(world, salon.manager, name, "#C0C0C0", minimum)
        await self._eye.execute("SELECT set_config('app.tenant_id', %s, false)", [str(tenant.tenant_id)])
        return Lifetime(world, salon)

    async def _look_at_cards(self, tenant_id: TenantId) -> dict[UUID, SeenCard]:
        async with self._eye.cursor(row_factory=class_row(SeenCard)) as cursor:
            await cursor.execute(_LOOK_AT_CARDS, [tenant_id])
            return {row.id: row for row in await cursor.fetchall()}

    async def _look(self, tenant_id: TenantId) -> dict[str, Seen]:
        async with self._eye.cursor(row_factory=class_row(Seen)) as cursor:
            await cursor.execute(_LOOK, [tenant_id])
            return {row.name: row for row in await cursor.fetchall()}
