"""Build a large ledger that adds up, by SQL alone: millions of entries in minutes instead of hours.

Each customer goes through the same ten steps again and again (STEPS): the customer buys, spends points, a purchase is
called off, points are adjusted, points expire. Each step is written for all customers before the next step, in another
order each time. So the rows of one customer lie scattered over the tables, as they do after years. The numbers of
points differ by customer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loyalty.ledger.proof.facts import FACT_DIGEST
from loyalty.rules.entry_kinds import ACTIVE, quote
from loyalty.rules.figures import FigurePeriod
from loyalty.rules.program import default_settings
from loyalty.storage.documents import to_document
from loyalty.storage.figures import READER

Connection = psycopg.Connection[TupleRow]

SMALL_TENANTS = 20
SILVER_MIN_POINTS = 1

TIME_ZONE = "Europe/Berlin"
BIG_TENANT = "01890000-0000-7000-8000-000000000001"


class Step(NamedTuple):
    """One entry of each customer. The points are multiplied by the customer's factor."""

    kind: str
    points: int
    takes: Mapping[int, int] = {}
    """The points that the entry takes from lots, by the step that opened the lot."""
    of: int = 0
    """The step whose purchase the entry reverses, or whose lot expires; 0 for none."""


STEPS: Mapping[int, Step] = {
    1: Step("EARNED", 100),
    2: Step("EARNED", 60),
    3: Step("REDEEMED", -120, {1: 100, 2: 20}),
    4: Step("EARNED", 80),
    5: Step("ADJUSTED", 15),
    6: Step("EARNED", 40),
    7: Step("REDEEMED", -70, {2: 40, 4: 30}),
    8: Step("EARN_REVERSED", -40, {6: 40}, of=6),
    9: Step("ADJUSTED", -20, {4: 20}),
    10: Step("EXPIRED", -30, of=4),
}
PROMISED = 4
"""The step whose points were pending at first."""

EVENT_KINDS = {
    "EARNED": "points.earned",
    "REDEEMED": "points.redeemed",
    "ADJUSTED": "points.adjusted",
    "EARN_REVERSED": "points.reversed",
    "EXPIRED": "points.expired",
}
REFERENCES = {
    "EARNED": ("PURCHASE", "purchase"),
    "EARN_REVERSED": ("PURCHASE", "purchase"),
    "REDEEMED": ("REDEMPTION", "redemption"),
    "ADJUSTED": ("ADJUSTMENT", "adjustment"),
    "EXPIRED": ("LOT", "lot"),
}
CAUSES = {
    "EARNED": ("accrual", "EARN"),
    "EARN_REVERSED": ("accrual", "REVERSE-0"),
    "REDEEMED": ("redemption", "REDEEM"),
    "ADJUSTED": ("adjustment", "ADJUST"),
    "EXPIRED": ("lot", "EXPIRE-0"),
}
IDS = ("purchase", "accrual", "entry", "lot", "event", "promise", "hold", "redemption", "adjustment", "told_hold")

ENTRY_TEXT = """
    concat_ws('|', id, customer_id, sequence, kind, points, balance_after, reference_kind, reference_id, cause_id,
    phase,
              (extract(epoch FROM occurred_at) * 1000000)::bigint, actor_kind, actor)
"""
ACTOR = "'INTEGRATION', 'api_token:01890000-0000-7000-8000-00000000000a'"
POLICY = (
    '{"debt": "ALLOW_NEGATIVE", "mature_on": "EVALUATION", "forfeit_on": ["CANCELLED", "NO_SHOW", "REFUNDED"], '
    '"evaluate_on": "PURCHASE_CREATED", "delay_minutes": 0, "slack_minutes": 60}'
)

FUNCTIONS = """
    CREATE SCHEMA bench;
    CREATE FUNCTION bench.place(n int, round int, customers int) RETURNS bigint IMMUTABLE PARALLEL SAFE LANGUAGE sql
        RETURN (n::bigint * 48271 + round::bigint * 7919) % customers;
    CREATE FUNCTION bench.ms(n int, round int, customers int) RETURNS bigint IMMUTABLE PARALLEL SAFE LANGUAGE sql
        RETURN 1700000000000 + round::bigint * 86400000 + bench.place(n, round, customers) * 86400000 / customers;
    CREATE FUNCTION bench.at(n int, round int, customers int) RETURNS timestamptz IMMUTABLE PARALLEL SAFE LANGUAGE sql
        RETURN timestamptz '1970-01-01 00:00:00.000123+00' + bench.ms(n, round, customers) * interval '1 millisecond';
    CREATE FUNCTION bench.id(tag int, n int, round int, customers int) RETURNS uuid IMMUTABLE PARALLEL SAFE LANGUAGE sql
        RETURN (lpad(to_hex(bench.ms(n, round, customers)), 12, '0') || '7' || lpad(to_hex(tag), 3, '0') || '8'
                || lpad(to_hex(n), 15, '0'))::uuid;
    CREATE UNLOGGED TABLE bench.customers (n int, tenant_id uuid, id uuid, factor bigint, tier_id uuid, qualifies bool,
                                            number int, of_tenant int);
    CREATE UNLOGGED TABLE bench.heads (tenant_id uuid, customer_id uuid, hash bytea);
    CREATE UNLOGGED TABLE bench.earlier_heads (tenant_id uuid, customer_id uuid, hash bytea);
"""


EVENTS_BEFORE = "<events before>"
"""In a statement that inserts events, the place for the number of such statements before it."""
READ_LOG = f"""
    INSERT INTO event_positions (tenant_id, last_position)
    SELECT tenant_id, max(position) FROM events GROUP BY tenant_id;
    INSERT INTO log_readers (tenant_id, reader, position, reaches, attempts)
    SELECT tenant_id, '{READER}', last_position, last_position, 0 FROM event_positions;
    INSERT INTO figures (tenant_id, period, starts_on, kind, points)
    SELECT tenant_id, period, date_trunc(period, day)::date, kind, sum(points)
    FROM (SELECT tenant_id, (occurred_at AT TIME ZONE '{TIME_ZONE}')::date AS day, kind, sum(points) AS points
          FROM entries GROUP BY 1, 2, 3) days
    CROSS JOIN unnest(ARRAY[{quote(FigurePeriod)}]) AS period
    GROUP BY 1, 2, 3, 4;
    INSERT INTO active_days (tenant_id, day, customer_id)
    SELECT DISTINCT tenant_id, (occurred_at AT TIME ZONE '{TIME_ZONE}')::date, customer_id
    FROM entries WHERE kind IN ({quote(ACTIVE)});
    INSERT INTO active_spans (tenant_id, customer_id, first_day, last_day)
    SELECT tenant_id, customer_id, min(day), max(day) FROM active_days GROUP BY 1, 2;
"""
"""The log has been read to its end: what the reader of the figures has written."""


class Builder(NamedTuple):
    """The size of a ledger: ``customers``, each with ``rounds`` entries. A round writes one entry of each customer."""

    customers: int
    rounds: int
    small_share: int
    """The per cent of the customers that belong to small tenants. All others belong to one big tenant."""

    @classmethod
    def of(cls, entries: int, entries_per_customer: int, small_share: int) -> "Builder":
        """Return the size of a ledger with so many entries.

        Raises ValueError unless customers have whole cycles of STEPS.
        """
        if entries_per_customer % len(STEPS):
            raise ValueError(f"entries per customer must be a multiple of {len(STEPS)}")
        return cls(max(100, entries // entries_per_customer), entries_per_customer, small_share)

    def id(self, name: str, round_: int) -> str:
        """Return SQL for the id of a row that belongs to customer `c` and a round. ``name`` is one of IDS."""
        return f"bench.id({IDS.index(name) + 1}, c.n, {round_}, {self.customers})"

    def at(self, round_: int) -> str:
        """Return SQL for the time of a round of customer `c`."""
        return f"bench.at(c.n, {round_}, {self.customers})"

    def rows(self, round_: int) -> str:
        """Return SQL for the customers `c`, in the order in which they come in a round."""
        return f"FROM bench.customers c ORDER BY bench.place(c.n, {round_}, {self.customers})"


def build(url: str, builder: Builder) -> None:
    """Fill a migrated, empty database, as its superuser.

    Keys, references and indexes are dropped first, and made again at the end, because that is faster.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        restored = _set_constraints_aside(connection)
        connection.execute(FUNCTIONS)
        _insert_settings(connection, builder)
        _insert_customers(connection, builder)
        halves = (_ledger_statements, _surrounding_statements)
        _run_side_by_side(url, [half(builder) for half in halves])
        connection.execute(_accounts(builder))
        connection.execute(READ_LOG.encode())
    _run_side_by_side(url, [iter(restored.indexes[half::2]) for half in (0, 1)])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        for statement in restored.references:
            connection.execute(statement)
        connection.execute("DROP SCHEMA bench CASCADE")
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


class SetAside(NamedTuple):
    """The statements that make the dropped indexes and references again."""

    indexes: list[str]
    references: list[str]


def _set_constraints_aside(connection: Connection) -> SetAside:
    """Drop keys, references and indexes, and make all tables unlogged. So rows are inserted several times faster."""
    tables = "c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'"
    constraints = connection.execute(
        "SELECT c.relname, k.conname, k.contype, pg_get_constraintdef(k.oid) "
        f"FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE {tables} AND k.contype IN ('p', 'u', 'f') "
        "ORDER BY k.contype"
    ).fetchall()
    references: list[str] = []
    indexes: list[str] = []
    for table, name, kind, definition in constraints:
        # The rows are known to be right; not valid spares looking each of them up.
        made = f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}{" NOT VALID" if kind == "f" else ""}'
        (references if kind == "f" else indexes).append(made)
        connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}" CASCADE'.encode())
    for name, definition in connection.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i "
        f"JOIN pg_class c ON c.oid = i.indrelid WHERE {tables}"
    ).fetchall():
        indexes.append(definition)
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    for (table,) in connection.execute(f"SELECT relname FROM pg_class c WHERE {tables}").fetchall():
        connection.execute(sql.SQL("ALTER TABLE {} SET UNLOGGED").format(sql.Identifier(table)))
    return SetAside(indexes, references)


def _run_side_by_side(url: str, halves: Sequence[Iterator[str]]) -> None:
    """Run each sequence of statements over a connection of its own, at the same time. Raises the error of any."""
    with ThreadPoolExecutor(len(halves)) as pool:
        for done in [pool.submit(_run_all, url, half) for half in halves]:
            done.result()


def _run_all(url: str, statements: Iterator[str]) -> None:
    """Run statements one after another over one connection."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("SET work_mem = '256MB'")
        for statement in statements:
            connection.execute(statement.encode())


def _insert_settings(connection: Connection, builder: Builder) -> None:
    """Insert the tenants, each with a program and one tier that everybody reaches with the first purchase."""
    settings = sql.quote(json.dumps(to_document(default_settings("EUR"))))
    connection.execute(
        f"""
        INSERT INTO tenants (tenant_id, name, currency, time_zone, locale, state, created_at, sandbox,
                             clock_advance_seconds, allowed_origins, loyalty_entitled, features, document_rule,
                             documents_version)
        SELECT ('01890000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid,
               CASE number WHEN 1 THEN 'The big one' ELSE 'Small ' || number END, 'EUR', '{TIME_ZONE}', 'de',
               'ACTIVE',
               timestamptz '2023-01-01' + number * interval '1 hour', false, 0, '[]', true, '[]',
               'ANY', 0
        FROM generate_series(1, {SMALL_TENANTS + 1}) AS number;
        INSERT INTO programs (tenant_id, enabled, settings, version, config_version, updated_at)
        SELECT tenant_id, true, {settings}, 1, 1, created_at FROM tenants;
        INSERT INTO program_versions (tenant_id, version, settings, created_at, created_by)
        SELECT tenant_id, 1, {settings}, created_at, 'staff:mara' FROM tenants;
        INSERT INTO tiers (tenant_id, id, name, name_key, color, min_points, created_at, updated_at)
        SELECT tenant_id, ('01890000-0000-7000-8001-' || right(tenant_id::text, 12))::uuid, 'Silver', 'silver',
               '#C0C0C0',
               {SILVER_MIN_POINTS}, created_at, created_at
        FROM tenants;
        INSERT INTO bench.customers
        SELECT n, t.tenant_id, bench.id(0, n, 0, {builder.customers}), 1 + n % 7, r.id, n % 2 = 0,
               row_number() OVER (PARTITION BY t.tenant_id ORDER BY n), count(*) OVER (PARTITION BY t.tenant_id)
        FROM generate_series(0, {builder.customers - 1}) AS n
        JOIN tenants t ON t.tenant_id = ('01890000-0000-7000-8000-' || lpad(to_hex(
             CASE WHEN n % 100 < {builder.small_share} THEN 2 + (n / 100) % {SMALL_TENANTS} ELSE 1 END
        ), 12, '0'))::uuid
        JOIN tiers r ON r.tenant_id = t.tenant_id
        ORDER BY n;
        ANALYZE bench.customers;
        INSERT INTO bench.heads SELECT tenant_id, id, decode(repeat('00', 32), 'hex') FROM bench.customers;
    """.encode()
    )


def _insert_customers(connection: Connection, builder: Builder) -> None:
    """Insert the customers of all tenants."""
    connection.execute(
        f"""
        INSERT INTO customers (tenant_id, id, external_id, full_name, search_name, search_mark, facts_at, created_at,
                               updated_at)
        SELECT c.tenant_id, c.id, 'customer-' || c.n, 'Customer ' || c.n, 'customer ' || c.n, '', '{{}}',
               {builder.at(0)}, {builder.at(0)}
        {builder.rows(0)};
    """.encode()
    )


def _accounts(builder: Builder) -> str:
    """Return the INSERT of the accounts as they are after all rounds. Their numbers are known in advance."""
    cycles = builder.rounds // len(STEPS)
    left = sum(step.points for step in STEPS.values()) * cycles
    earned = sum(step.points for step in STEPS.values() if step.kind in {"EARNED", "EARN_REVERSED"}) * cycles
    adjusted = sum(step.points for step in STEPS.values() if step.kind == "ADJUSTED" and step.points > 0) * cycles
    qualifying = f"({earned} + CASE WHEN c.qualifies THEN {adjusted} ELSE 0 END) * c.factor"
    return f"""
        INSERT INTO accounts (tenant_id, customer_id, available, pending, held, debt, lifetime_earned, qualifying,
                              standing, standing_by, tier_id, sequence, chain, window_points, previous_window_points,
                              tier_locked, closed, active_at, updated_at)
        SELECT c.tenant_id, c.id, {left} * c.factor, 0, 0, 0, {earned} * c.factor, {qualifying}, {qualifying},
               'LIFETIME_EARNED', c.tier_id, {builder.rounds}, h.hash, 0, 0, false, false, {builder.at(builder.rounds)},
               {builder.at(builder.rounds)}
        FROM bench.customers c JOIN bench.heads h ON h.tenant_id = c.tenant_id AND h.customer_id = c.id
        ORDER BY c.n
    """


def _ledger_statements(builder: Builder) -> Iterator[str]:
    """Yield the statements for entries, each chained to the one before it, with lots and allocations."""
    for round_, cycle, number, step in _steps(builder):
        start = cycle * len(STEPS)
        balance = sum(STEPS[earlier].points for earlier in range(1, number + 1)) + cycle * sum(
            it.points for it in STEPS.values()
        )
        about = start + (step.of or number)
        (reference, referred), (cause, phase) = REFERENCES[step.kind], CAUSES[step.kind]
        entry = f"""
            SELECT c.n, c.tenant_id, {builder.id("entry", round_)} AS id, c.id AS customer_id, {round_} AS sequence,
                   '{step.kind}' AS kind, {step.points} * c.factor AS points, {balance} * c.factor AS balance_after,
                   '{reference}' AS reference_kind, {builder.id(referred, about)} AS reference_id,
                   {builder.id(cause, about)} AS cause_id, '{phase}' AS phase, {builder.at(round_)} AS occurred_at,
                   a.kind AS actor_kind, a.name AS actor
            FROM bench.customers c CROSS JOIN (VALUES ({ACTOR})) AS a (kind, name)
        """
        yield "TRUNCATE bench.earlier_heads"
        yield "INSERT INTO bench.earlier_heads SELECT * FROM bench.heads"
        yield "TRUNCATE bench.heads"
        yield f"""
            WITH made AS (
                INSERT INTO entries (tenant_id, id, customer_id, sequence, kind, points, balance_after, reference_kind,
                                     reference_id, cause_id, phase, occurred_at, actor_kind, actor, hash)
                SELECT tenant_id, id, customer_id, sequence, kind, points, balance_after, reference_kind, reference_id,
                       cause_id, phase, occurred_at, actor_kind, actor,
                       sha256(h.hash || convert_to({ENTRY_TEXT}, 'UTF8'))
                FROM ({entry}) e JOIN bench.earlier_heads h USING (tenant_id, customer_id)
                ORDER BY bench.place(e.n, {round_}, {builder.customers})
                RETURNING tenant_id, customer_id, hash
            )
            INSERT INTO bench.heads TABLE made
        """
        if step.points > 0:
            yield _lot(builder, round_, number, step, cause)
        for of, points in step.takes.items():
            yield f"""
                INSERT INTO allocations (tenant_id, entry_id, lot_id, settled_by, customer_id, points, taken_at)
                SELECT c.tenant_id, {builder.id("entry", round_)}, {builder.id("lot", start + of)},
                       {builder.id("entry", round_)}, c.id, {points} * c.factor, {builder.at(round_)}
                {builder.rows(round_)}
            """


def _lot(builder: Builder, round_: int, number: int, step: Step, cause: str) -> str:
    """Return the INSERT of the lots of a round, as they are after all rounds."""
    taken = sum(it.takes.get(number, 0) for it in STEPS.values())
    expired = -sum(it.points for it in STEPS.values() if it.kind == "EXPIRED" and it.of == number)
    remaining = step.points - taken - expired
    state = "OPEN" if remaining else "EXPIRED" if expired else "EXHAUSTED"
    # What is left lives for ever, or it would have to be gone by now.
    expires_at = "NULL::timestamptz" if remaining else builder.at(round_ + 6)
    return f"""
        INSERT INTO lots (tenant_id, id, customer_id, entry_id, cause_id, original, remaining, held, expired, state,
                          opened_at, expires_at, opened_expires_at)
        SELECT c.tenant_id, {builder.id("lot", round_)}, c.id, {builder.id("entry", round_)}, {
        builder.id(cause, round_)
    },
               {step.points} * c.factor, {remaining} * c.factor, 0, {expired} * c.factor, '{state}',
               {builder.at(round_)},
               {expires_at}, {expires_at}
        {builder.rows(round_)}
    """


def _surrounding_statements(builder: Builder) -> Iterator[str]:
    """Yield the statements for what the entries came from, and for their events. Each event has its position."""
    before = 0
    for statement in _unnumbered_statements(builder):
        yield statement.replace(EVENTS_BEFORE, str(before))
        before += EVENTS_BEFORE in statement


def _unnumbered_statements(builder: Builder) -> Iterator[str]:
    """Yield the statements of `_surrounding_statements`, with EVENTS_BEFORE where its number belongs."""
    for round_, cycle, number, step in _steps(builder):
        start = cycle * len(STEPS)
        if step.kind == "EARNED":
            yield from _purchase(builder, round_, number, step)
        if step.kind == "EARN_REVERSED":
            yield _fact(builder, start + step.of, round_, 2, ("CANCELLED", -step.points))
        if step.kind == "ADJUSTED":
            yield from _adjustment(builder, round_, step)
        if step.kind == "REDEEMED":
            yield from _redemption(builder, round_, start, step)
        yield _event(builder, round_, start, number, step)
        if round_ == 1:
            yield from _upgrade(builder, step)


def _purchase(builder: Builder, round_: int, number: int, step: Step) -> Iterator[str]:
    """Yield the INSERTs of purchases, their facts and their accruals."""
    reversed_points = -sum(it.points for it in STEPS.values() if it.kind == "EARN_REVERSED" and it.of == number)
    status = "CANCELLED" if reversed_points else "PAID"
    state = "REVERSED" if reversed_points else "AVAILABLE"
    taken = sum(it.takes.get(number, 0) for it in STEPS.values())
    is_left = step.points > taken - sum(it.points for it in STEPS.values() if it.kind == "EXPIRED" and it.of == number)
    # What is left lives for ever; of the other lots nothing is known.
    expiry = """'{"kind": "NONE"}'::jsonb""" if is_left else "NULL"
    yield f"""
        INSERT INTO purchases (tenant_id, id, kind, external_id, customer_id, status, version, generation, total_minor,
                               refunded_minor, currency, lines, location, staff, told_at, recorded_at, updated_at)
        SELECT c.tenant_id, {builder.id("purchase", round_)}, 'APPOINTMENT', 'booking-{round_}-' || c.n, c.id,
               '{status}',
               {2 if reversed_points else 1}, 1, {step.points} * c.factor * 100, 0, 'EUR',
               '[{{"kind": "SERVICE", "external_id": "cut", "quantity": 1}}]', 'main-street', 'mara', '{{}}',
               {builder.at(round_)},
               {builder.at(round_)}
        {builder.rows(round_)}
    """
    yield _fact(builder, round_, round_, 1, ("PAID", step.points))
    yield f"""
        INSERT INTO accruals (tenant_id, id, purchase_id, customer_id, generation, state, points, voided_points,
                              reversed_points, earned_points, taken_points, valuation, currency,
                              breakdown, policy, program_version, config_version,
                              evaluated_at,
                              matures_at, matured_at)
        SELECT c.tenant_id, {builder.id("accrual", round_)}, {builder.id("purchase", round_)}, c.id, 1, '{state}',
               {step.points} * c.factor, 0, {reversed_points} * c.factor,
               {step.points} * c.factor, {reversed_points} * c.factor, 1, 'EUR',
               jsonb_build_array(
                   jsonb_build_object('units', NULL, 'points', {step.points} * c.factor, 'outcome', 'APPLIED',
                       'rule_id', '01890000-0000-7000-8002-000000000001', 'rule_name', 'A point per euro',
                       'basis_minor', {step.points} * c.factor * 100, 'explanation',
                       {step.points} * c.factor || ' points: 1 per 1.00 EUR, rounded down.', 'rule_version', 1,
                       'failed_condition', NULL, 'expiry', {expiry}),
                   jsonb_build_object('units', NULL, 'points', 0, 'outcome', 'NOT_MATCHED',
                       'rule_id', '01890000-0000-7000-8002-000000000002', 'rule_name', 'Double points on Mondays',
                       'basis_minor', 0, 'explanation', 'Only on Mondays.', 'rule_version', 3,
                       'failed_condition', 'WEEKDAY')),
               '{POLICY}', 1, 1, {builder.at(round_)}, {builder.at(round_)}, {builder.at(round_)}
        {builder.rows(round_)}
    """
    if number == PROMISED:
        payload = f"""'points', {step.points} * c.factor, 'accrual_id', {builder.id("accrual", round_)},
                      'purchase_id', {builder.id("purchase", round_)}"""
        yield _told(builder, round_, ("promise", "points.pending", "NULL"), payload)


def _fact(builder: Builder, purchased: int, round_: int, version: int, told: tuple[str, int]) -> str:
    """Return the INSERT of facts. ``purchased`` is the round of the purchase, ``told`` its status and points."""
    status, points = told
    return f"""
        INSERT INTO purchase_facts (tenant_id, purchase_id, version, fingerprint, status, facts, recorded_at,
        recorded_by, report_key, report_client, state_mark, digest)
        SELECT f.*, {FACT_DIGEST} FROM (
        SELECT c.tenant_id, {builder.id("purchase", purchased)} AS purchase_id, {version} AS version,
               encode(sha256(('{version}' || c.n)::bytea), 'hex') AS fingerprint, '{status}' AS status,
               jsonb_build_object('kind', 'APPOINTMENT', 'lines', '[{{"kind": "SERVICE",
               "external_id": "cut", "quantity": 1}}]'::jsonb,
                   'staff', 'mara', 'total',
                   jsonb_build_object('currency', 'EUR', 'amount_minor', {points} * c.factor * 100),
                   'ends_at', NULL,
                   'location', 'main-street', 'booked_at', NULL, 'starts_at', NULL,
                   'external_id', 'booking-{purchased}-' || c.n, 'occurred_at', NULL,
                   'customer_category', NULL) AS facts,
               {builder.at(round_)} AS recorded_at, 'api_token:01890000-0000-7000-8000-00000000000a' AS recorded_by,
               NULL AS report_key, NULL AS report_client, NULL AS state_mark
        {builder.rows(round_)}
        ) f
    """


def _adjustment(builder: Builder, round_: int, step: Step) -> Iterator[str]:
    """Yield the INSERTs of adjustments and their idempotency keys."""
    qualifies = "c.qualifies" if step.points > 0 else "false"
    yield f"""
        INSERT INTO adjustments (tenant_id, id, customer_id, points, requested_points, reason, internal_note,
        qualifying,
                                 actor_kind, actor, actor_subject, created_at)
        SELECT c.tenant_id, {builder.id("adjustment", round_)}, c.id, {step.points} * c.factor,
               {step.points} * c.factor,
               'GOODWILL', 'waited too long', {qualifies}, 'STAFF', 'The manager', 'staff:manager', {builder.at(round_)}
        {builder.rows(round_)}
    """
    yield _key(builder, round_, "pointsAdjust", "adjustment")


def _redemption(builder: Builder, round_: int, start: int, step: Step) -> Iterator[str]:
    """Yield the INSERTs of holds that were captured at once and completely, and of their redemptions."""
    points = -step.points
    yield f"""
        INSERT INTO holds (tenant_id, id, customer_id, state, points, captured_points, discount_minor, currency,
                           value_points, value_minor, purchase_kind, purchase_external_id, lowered_points,
                           capture_on, expires_at, created_at, ended_at, actor_kind, actor)
        SELECT c.tenant_id, {builder.id("hold", round_)}, c.id, 'CAPTURED', {points} * c.factor, {points} * c.factor,
               {points} * c.factor, 'EUR', 1, 1, 'ORDER', 'order-{round_}-' || c.n, 0, 'CALL',
               {builder.at(round_)} + interval '15 minutes', {builder.at(round_)}, {builder.at(round_)}, {ACTOR}
        {builder.rows(round_)}
    """
    for of, taken in step.takes.items():
        yield f"""
            INSERT INTO hold_lots (tenant_id, hold_id, lot_id, customer_id, points, lowered_points)
            SELECT c.tenant_id, {builder.id("hold", round_)}, {builder.id("lot", start + of)}, c.id,
                   {taken} * c.factor, 0
            {builder.rows(round_)}
        """
    yield f"""
        INSERT INTO redemptions (tenant_id, id, hold_id, customer_id, points, returned_points, discount_minor, currency,
                                 purchase_kind, purchase_external_id, redeemed_at, actor_kind, actor)
        SELECT c.tenant_id, {builder.id("redemption", round_)}, {builder.id("hold", round_)}, c.id,
               {points} * c.factor, 0,
               {points} * c.factor, 'EUR', 'ORDER', 'order-{round_}-' || c.n, {builder.at(round_)}, {ACTOR}
        {builder.rows(round_)}
    """
    yield _key(builder, round_, "redemptionHold", "hold")
    yield _key(builder, round_, "redemptionCapture", "redemption")
    yield _told(
        builder,
        round_,
        ("told_hold", "points.held", "NULL"),
        f"'points', {points} * c.factor, 'available', 0, 'hold_id', {builder.id('hold', round_)}",
    )


def _key(builder: Builder, round_: int, operation: str, result: str) -> str:
    """Return the INSERT of the idempotency keys of an operation."""
    return f"""
        INSERT INTO idempotency_keys (tenant_id, key, operation, client, fingerprint, result_id, created_at)
        SELECT c.tenant_id, '{operation}-{round_}-' || c.n, '{operation}', 'staff:bench',
               encode(sha256(c.n::text::bytea), 'hex'), {builder.id(result, round_)}, {builder.at(round_)}
        {builder.rows(round_)}
    """


def _event(builder: Builder, round_: int, start: int, number: int, step: Step) -> str:
    """Return the INSERT of the events that tell of the entries of a step."""
    referred = REFERENCES[step.kind][1]
    cause = CAUSES[step.kind][0]
    about = start + (step.of or number)
    payload = f"""'points', {step.points} * c.factor, 'available', 0, 'entry_id', {builder.id("entry", round_)},
                  '{referred}_id', {builder.id(referred, about)}"""
    if cause != referred:
        payload += f", '{cause}_id', {builder.id(cause, about)}"
    return _told(builder, round_, ("event", EVENT_KINDS[step.kind], builder.id("entry", round_)), payload)


def _told(builder: Builder, round_: int, event: tuple[str, str, str], payload: str) -> str:
    """Return the INSERT of an event for each customer.

    ``event`` is its name in IDS, its kind and its entry. ``payload`` is what it says besides the account.
    """
    name, kind, entry_id = event
    return f"""
        INSERT INTO events (tenant_id, id, position, kind, subject_kind, customer_id, entry_id, payload, occurred_at)
        SELECT c.tenant_id, {builder.id(name, round_)}, {EVENTS_BEFORE}::bigint * c.of_tenant + c.number, '{kind}',
               'CUSTOMER', c.id, {entry_id},
               jsonb_build_object('customer_id', c.id, {payload}, 'locale', NULL, 'account',
                   '{{"debt": 0, "held": 0, "pending": 0, "available": 0, "qualifying": 0,
                   "lifetime_earned": 0}}'::jsonb),
               {builder.at(round_)}
        {builder.rows(round_)}
    """


def _upgrade(builder: Builder, step: Step) -> Iterator[str]:
    """Yield the INSERTs of tier changes: the first purchase of every customer leads to the tier."""
    yield f"""
        INSERT INTO tier_changes (tenant_id, id, customer_id, from_tier_id, to_tier_id, upgraded, cause, cause_id,
                                  qualifying, actor, changed_at)
        SELECT c.tenant_id, {builder.id("told_hold", 1)}, c.id, NULL, c.tier_id, true, 'ACCRUAL',
               {builder.id("accrual", 1)},
               {step.points} * c.factor, 'system', {builder.at(1)}
        {builder.rows(1)}
    """
    payload = f"""'previous_tier_id', NULL, 'tier_id', c.tier_id, 'cause', 'ACCRUAL',
                  'qualifying_points', {step.points} * c.factor"""
    yield _told(builder, 1, ("told_hold", "tier.upgraded", "NULL"), payload)


def _steps(builder: Builder) -> Iterator[tuple[int, int, int, Step]]:
    """Yield every round: its number, its cycle, the number of its step, and the step."""
    for round_ in range(1, builder.rounds + 1):
        cycle, place = divmod(round_ - 1, len(STEPS))
        yield round_, cycle, place + 1, STEPS[place + 1]
