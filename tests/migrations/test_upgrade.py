"""What an installation of the first release holds must be provable after the upgrade, for every tenant of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy import text
from uuid_utils.compat import uuid7

from loyalty.rules.ids import TenantId
from loyalty.rules.search import search_words, words_mark
from loyalty.services.verification import verify_ledger
from loyalty.services.world import World
from migrations.run import upgrade
from runtime.roles import DatabaseUrls
from tenancy.database import Database

Owner = psycopg.Connection[TupleRow]

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NAMELESS = {"full_name": "", "search_name": "", "search_family_name": ""}
ACTOR = {"actor_kind": "STAFF", "actor": "staff:mara"}
POLICY = json.dumps(
    {
        "debt": "ALLOW_NEGATIVE",
        "mature_on": "EVALUATION",
        "forfeit_on": ["CANCELLED"],
        "evaluate_on": "PURCHASE_CREATED",
    }
)


class Installation:
    """Writes rows of the first release, as the owner of the tables, into one tenant."""

    def __init__(self, owner: Owner, name: str, **columns: Any) -> None:
        self._owner = owner
        self._minutes = 0
        self.tenant_id = TenantId(uuid7())
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(self.tenant_id)])
        self.insert(
            "tenants",
            name=name,
            currency="EUR",
            time_zone="Europe/Berlin",
            locale="de",
            state="ACTIVE",
            created_at=NOON,
            **columns,
        )
        self.insert("programs", enabled=True, settings="{}", version=1, config_version=1, updated_at=NOON)
        self.insert("program_versions", version=1, settings="{}", created_at=NOON, created_by="staff:mara")

    def insert(self, table: str, **values: Any) -> UUID | None:
        """Insert a row of this tenant."""
        row = {"tenant_id": self.tenant_id, **values}
        self._owner.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )
        return values.get("id")

    def now(self) -> datetime:
        """Return an instant that is a minute later each time, with an odd microsecond."""
        self._minutes += 1
        return NOON + timedelta(minutes=self._minutes, microseconds=self._minutes)

    def customer(self, external_id: str, **account: int) -> UUID:
        """Insert a customer, with the account as it is in the end."""
        customer_id = uuid7()
        self.insert(
            "customers",
            id=customer_id,
            external_id=external_id,
            created_at=NOON,
            updated_at=NOON,
            **NAMELESS,
        )
        numbers = dict.fromkeys(
            ("available", "pending", "held", "debt", "lifetime_earned", "qualifying", "sequence"), 0
        )
        self.insert("accounts", customer_id=customer_id, **{**numbers, **account}, updated_at=NOON)
        return customer_id

    def accrual(self, customer_id: UUID, external_id: str, points: int, state: str) -> tuple[UUID, UUID]:
        """Insert a purchase with one fact and its accrual. Return the ids of both."""
        purchase_id, accrual_id, now = uuid7(), uuid7(), self.now()
        status = "CANCELLED" if state == "VOIDED" else "PAID"
        self.insert(
            "purchases",
            id=purchase_id,
            kind="ORDER",
            external_id=external_id,
            customer_id=customer_id,
            status=status,
            version=1,
            generation=1,
            total_minor=points * 100,
            currency="EUR",
            lines="[]",
            recorded_at=now,
            updated_at=now,
        )
        self.insert(
            "purchase_facts",
            purchase_id=purchase_id,
            version=1,
            fingerprint=external_id,
            status=status,
            facts="{}",
            recorded_at=now,
            recorded_by="staff:mara",
        )
        self.insert(
            "accruals",
            id=accrual_id,
            purchase_id=purchase_id,
            customer_id=customer_id,
            generation=1,
            state=state,
            points=points,
            reversed_points=0,
            currency="EUR",
            breakdown=json.dumps([{"outcome": "APPLIED", "points": points}]),
            policy=POLICY,
            program_version=1,
            config_version=1,
            evaluated_at=now,
            matures_at=now,
            matured_at=None if state == "VOIDED" else now,
        )
        if state == "VOIDED":
            for kind in ("points.pending", "points.voided"):
                self.event(kind, customer_id, {"points": points, "accrual_id": str(accrual_id)})
        return purchase_id, accrual_id

    def entry(self, customer_id: UUID, sequence: int, points: int, balance: int, about: dict[str, Any]) -> UUID:
        """Insert an entry, and the event that tells of it."""
        entry_id = uuid7()
        kind = "points.earned" if about["kind"] == "EARNED" else "points.adjusted"
        self.insert(
            "entries",
            id=entry_id,
            customer_id=customer_id,
            sequence=sequence,
            points=points,
            balance_after=balance,
            occurred_at=self.now(),
            **about,
            **ACTOR,
        )
        self.event(kind, customer_id, {"points": points, "entry_id": str(entry_id)})
        return entry_id

    def earn(self, customer_id: UUID, sequence: int, points: int, balance: int, external_id: str) -> UUID:
        purchase_id, accrual_id = self.accrual(customer_id, external_id, points, "AVAILABLE")
        about = {"kind": "EARNED", "reference_kind": "PURCHASE", "reference_id": purchase_id}
        return self.entry(customer_id, sequence, points, balance, {**about, "cause_id": accrual_id, "phase": "EARN"})

    def adjust(self, customer_id: UUID, sequence: int, points: int, balance: int) -> UUID:
        """Insert an adjustment with its entry."""
        adjustment_id = uuid7()
        self.insert(
            "adjustments",
            id=adjustment_id,
            customer_id=customer_id,
            points=points,
            requested_points=points,
            reason="GOODWILL",
            qualifying=False,
            actor_subject="staff:mara",
            created_at=self.now(),
            **ACTOR,
        )
        self.insert(
            "idempotency_keys",
            key=f"adjust {adjustment_id}",
            operation="pointsAdjust",
            fingerprint="0",
            result_id=adjustment_id,
            created_at=NOON,
        )
        about = {"kind": "ADJUSTED", "reference_kind": "ADJUSTMENT", "reference_id": adjustment_id}
        return self.entry(
            customer_id, sequence, points, balance, {**about, "cause_id": adjustment_id, "phase": "ADJUST"}
        )

    def lot(self, customer_id: UUID, entry_id: UUID, original: int, remaining: int) -> UUID:
        """Insert a lot."""
        lot_id = uuid7()
        self.insert(
            "lots",
            id=lot_id,
            customer_id=customer_id,
            entry_id=entry_id,
            original=original,
            remaining=remaining,
            held=0,
            expired=0,
            state="OPEN" if remaining else "EXHAUSTED",
            opened_at=self.now(),
        )
        return lot_id

    def hold(self, customer_id: UUID, actor_kind: str) -> UUID:
        """Insert a hold that gave its points back."""
        hold_id = uuid7()
        self.insert(
            "holds",
            id=hold_id,
            customer_id=customer_id,
            state="RELEASED",
            points=10,
            captured_points=0,
            discount_minor=10,
            currency="EUR",
            value_points=1,
            value_minor=1,
            expires_at=NOON,
            created_at=NOON,
            ended_at=NOON,
            actor_kind=actor_kind,
            actor="Somebody",
        )
        return hold_id

    def key(self, key: str, operation: str, result_id: UUID) -> None:
        """Insert an idempotency key of the whole tenant, as keys were at first."""
        self.insert(
            "idempotency_keys", key=key, operation=operation, fingerprint=key, result_id=result_id, created_at=NOON
        )

    def event(self, kind: str, customer_id: UUID, payload: dict[str, Any]) -> None:
        """Insert an event."""
        self.insert(
            "events",
            id=uuid7(),
            kind=kind,
            customer_id=customer_id,
            payload=json.dumps(payload),
            occurred_at=self.now(),
        )


def furnish(installation: Installation) -> None:
    """Insert three customers.

    Anna has spent and pending points, ben has debt that was paid in part, and cem has nothing.
    """
    anna = installation.customer("anna", available=170, lifetime_earned=200, qualifying=200, sequence=3)
    first = installation.earn(anna, 1, 120, 120, "order-1")
    lot = installation.lot(anna, first, 120, 90)
    installation.insert("allocations", entry_id=installation.adjust(anna, 2, -30, 90), lot_id=lot, points=30)
    installation.lot(anna, installation.earn(anna, 3, 80, 170, "order-2"), 80, 80)
    installation.accrual(anna, "called off", 40, "VOIDED")
    ben = installation.customer("ben", debt=20, sequence=2)
    installation.adjust(ben, 1, -50, -50)
    paid = installation.adjust(ben, 2, 30, -20)
    installation.insert("allocations", entry_id=paid, lot_id=installation.lot(ben, paid, 30, 0), points=30)
    installation.customer("cem")


@pytest.mark.parametrize("tenants", [3])
async def test_the_ledger_of_the_first_release_is_chained_and_proven(
    empty_database_urls: DatabaseUrls, tenants: int
) -> None:
    """F-36: hashes, causes of lots and entries of events are filled in, for every tenant and behind forced walls."""
    urls = empty_database_urls
    upgrade(urls.owner, "0001")
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        installations = [Installation(owner, f"Salon {number}") for number in range(tenants)]
        for installation in installations:
            owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(installation.tenant_id)])
            furnish(installation)
    upgrade(urls.owner)
    app = Database(urls.app, pool_size=1)
    for installation in installations:
        verification = await verify_ledger(World(app), installation.tenant_id)
        assert "\n".join(map(str, verification.differences)) == ""
        assert verification.entries == 5
    await app.close()
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        unforced = owner.execute(
            "SELECT relname FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity AND relkind = 'r'"
        ).fetchall()
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(installations[0].tenant_id)])
        causes = owner.execute(
            "SELECT count(*) FROM lots l JOIN entries e ON e.id = l.entry_id AND e.cause_id = l.cause_id"
        ).fetchone()
    assert unforced == []
    assert causes == (3,)


async def test_a_settled_hold_took_its_points_when_it_ended(empty_database_urls: DatabaseUrls) -> None:
    """Allocations and lots of holds learn whose they are; what a released hold paid of a debt, when it was released."""
    urls = empty_database_urls
    upgrade(urls.owner, "0001")
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        installation = Installation(owner, "Salon")
        ben = installation.customer("ben", debt=20, sequence=2)
        spent = installation.adjust(ben, 1, -50, -50)
        paid = installation.adjust(ben, 2, 30, -20)
        lot, hold, released_at = installation.lot(ben, paid, 30, 10), uuid7(), NOON + timedelta(days=1)
        installation.insert("allocations", entry_id=paid, lot_id=lot, points=20)
    upgrade(urls.owner, "0002")
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(installation.tenant_id)])
        owner.execute(
            """
            INSERT INTO holds (tenant_id, id, customer_id, state, points, captured_points, discount_minor, currency,
                               value_points, value_minor, expires_at, created_at, ended_at, actor_kind, actor)
            VALUES (%s, %s, %s, 'RELEASED', 10, 0, 10, 'EUR', 1, 1, %s, %s, %s, 'STAFF', 'staff:mara')
            """,
            [installation.tenant_id, hold, ben, released_at, NOON, released_at],
        )
        owner.execute("INSERT INTO hold_lots VALUES (%s, %s, %s, 10)", [installation.tenant_id, hold, lot])
        owner.execute(
            "INSERT INTO allocations (tenant_id, entry_id, lot_id, settled_by, points) VALUES (%s, %s, %s, %s, 10)",
            [installation.tenant_id, spent, lot, hold],
        )
    upgrade(urls.owner)
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(installation.tenant_id)])
        taken = owner.execute("SELECT customer_id, points, taken_at FROM allocations ORDER BY points").fetchall()
        paid_at = owner.execute("SELECT occurred_at FROM entries WHERE id = %s", [paid]).fetchone()
        held_for = owner.execute("SELECT customer_id FROM hold_lots").fetchall()
    assert taken == [(ben, 10, released_at), (ben, 20, *(paid_at or ()))]
    assert held_for == [(ben,)]


async def test_a_key_of_a_customers_hold_becomes_the_customers(empty_database_urls: DatabaseUrls) -> None:
    """All other keys stay the tenant's: nothing tells who used them."""
    urls = empty_database_urls
    upgrade(urls.owner, "0004")
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        installation = Installation(owner, "Salon", sandbox=False, clock_advance_seconds=0)
        ben = uuid7()
        installation.insert("customers", id=ben, external_id="ben", created_at=NOON, updated_at=NOON, **NAMELESS)
        holds = {kind: installation.hold(ben, kind) for kind in ("CUSTOMER", "STAFF")}
        for kind, hold in holds.items():
            for operation in ("redemptionHold", "redemptionRelease"):
                installation.key(f"{operation} by {kind}", operation, hold)
    upgrade(urls.owner)
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(installation.tenant_id)])
        clients: dict[str, str] = dict(owner.execute("SELECT key, client FROM idempotency_keys").fetchall())
    assert clients == {
        "redemptionHold by CUSTOMER": f"customer:{ben}",
        "redemptionRelease by CUSTOMER": "",
        "redemptionHold by STAFF": "",
        "redemptionRelease by STAFF": "",
    }


async def test_api_tokens_keep_what_they_could_do(empty_database_urls: DatabaseUrls) -> None:
    """Who managed tokens and read customers could sign customers in, and still can; nobody else gets to."""
    urls = empty_database_urls
    held = {
        "signs in": ["tokens:manage", "loyalty:read"],
        "holds the module": ["loyalty:*", "tokens:manage"],
        "manages only": ["tokens:manage"],
        "reads only": ["loyalty:read"],
    }
    upgrade(urls.owner, "0011")
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        installation = Installation(owner, "Salon", sandbox=False, clock_advance_seconds=0)
        for name, permissions in held.items():
            installation.insert(
                "api_tokens",
                id=uuid7(),
                name=name,
                permissions=json.dumps(permissions),
                created_at=NOON,
                created_by="staff:mara" if name == "signs in" else "token:1",
            )
    upgrade(urls.owner)
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(installation.tenant_id)])
        found = owner.execute("SELECT name, permissions, made_with FROM api_tokens").fetchall()
    now = {name: (permissions, made_with) for name, permissions, made_with in found}
    assert now == {
        "signs in": ([*held["signs in"], "customers:sign_in"], None),
        "holds the module": ([*held["holds the module"], "customers:sign_in"], "token:1"),
        "manages only": (held["manages only"], "token:1"),
        "reads only": (held["reads only"], "token:1"),
    }


async def test_customers_of_an_earlier_release_are_found_by_every_word(empty_database_urls: DatabaseUrls) -> None:
    """The words of the search are filled in for every tenant, and none of another is found."""
    urls = empty_database_urls
    upgrade(urls.owner, "0012")
    names = {"x-1": "Anja von der Müller", "x-2": "Łukasz Żak"}
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        salons = [Installation(owner, name, sandbox=False, clock_advance_seconds=0) for name in ("Salon", "Studio")]
        for salon in salons:
            owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(salon.tenant_id)])
            for external_id, name in names.items():
                about = {"full_name": name, "search_name": name.lower(), "search_family_name": ""}
                salon.insert(
                    "customers", id=uuid7(), external_id=external_id, created_at=NOON, updated_at=NOON, **about
                )
    upgrade(urls.owner)
    app = Database(urls.app, pool_size=1)
    for salon in salons:
        async with app.tenant_transaction(salon.tenant_id) as tx:
            found = await tx.rows(
                text(
                    "SELECT c.external_id, c.search_mark FROM customers c JOIN customer_words w"
                    " ON w.tenant_id = c.tenant_id AND w.customer_id = c.id"
                    " WHERE c.tenant_id = :current_tenant AND w.word IN ('mueller', 'lukasz') ORDER BY 1"
                )
            )
        assert [(row.external_id, row.search_mark) for row in found] == [
            (external_id, words_mark(search_words(external_id, name, None))) for external_id, name in names.items()
        ]
    await app.close()
