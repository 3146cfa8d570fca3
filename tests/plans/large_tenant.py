"""One large tenant among small ones: every table has so many rows that a plan shows what it does not find by a key.

`bench/ledger.py` makes the ledger; the rows here are of what seldom happens. They need not add up: nothing proves them.
What waits becomes due at one instant, as the points of a period do.
"""

import psycopg
from psycopg.types.json import Jsonb

from bench.ledger import BIG_TENANT, Builder, build
from loyalty.rules.program import default_settings
from loyalty.storage.documents import to_document

CUSTOMERS, ENTRIES_PER_CUSTOMER = 10_000, 10
SMALL_SHARE = 5
FEW = 4_000
"""Rows of what seldom happens: more than a statement may read."""

RARE_ROWS = f"""
    CREATE TEMPORARY TABLE picked AS
        SELECT row_number() OVER (ORDER BY id) AS n, id AS customer_id,
               lead(id) OVER (ORDER BY id) AS next_id
        FROM customers
        -- The others live the day.
        WHERE tenant_id = '{BIG_TENANT}' AND external_id !~ '^customer-.5.$' ORDER BY id LIMIT {FEW + 1};
    DELETE FROM picked WHERE next_id IS NULL;
    INSERT INTO purchase_refunds (tenant_id, id, purchase_id, customer_id, number, amount_minor, lines, points,
                                  returned_points, returned_minor, recorded_at, actor_kind, actor)
        SELECT tenant_id, gen_random_uuid(), id, customer_id, 1, 1, '[]', 0, 0, 0, recorded_at, 'STAFF', 'somebody'
        FROM purchases WHERE tenant_id = '{BIG_TENANT}' LIMIT {FEW};
    INSERT INTO redemption_returns (tenant_id, id, redemption_id, customer_id, points, discount_minor,
                                    refunded_points, refunded_minor, returned_at, actor_kind, actor)
        SELECT tenant_id, gen_random_uuid(), id, customer_id, 1, 1, 0, 0, redeemed_at, 'STAFF', 'somebody'
        FROM redemptions WHERE tenant_id = '{BIG_TENANT}' LIMIT {FEW};
    INSERT INTO opening_balances (tenant_id, id, customer_id, named_id, points, lifetime_earned, qualifying,
                                  imported_at, actor_kind, actor)
        SELECT '{BIG_TENANT}', gen_random_uuid(), customer_id, customer_id, 1, 1, 1, now(), 'STAFF', 'somebody'
        FROM picked;
    INSERT INTO customers (tenant_id, id, external_id, full_name, search_name, search_mark, facts_at, created_at,
                           updated_at, merged_into)
        SELECT '{BIG_TENANT}', overlay(customer_id::text placing '9' from 20 for 1)::uuid, 'merged-' || n, '', '', '',
               '{{}}', now(), now(), customer_id
        FROM picked;
    INSERT INTO accounts (tenant_id, customer_id, available, pending, held, debt, lifetime_earned, qualifying, standing,
                          standing_by, sequence, chain, window_points, previous_window_points, tier_locked, closed,
                          updated_at)
        SELECT tenant_id, id, 0, 0, 0, 0, 0, 0, 0, 'LIFETIME_EARNED', 0, decode(repeat('00', 32), 'hex'), 0, 0, false,
               true, now()
        FROM customers WHERE tenant_id = '{BIG_TENANT}' AND merged_into IS NOT NULL;
    INSERT INTO customer_merges (tenant_id, id, source_id, target_id, points, pending, lifetime_earned, qualifying,
                                 window_points, previous_window_points, merged_at, actor_kind, actor)
        SELECT tenant_id, gen_random_uuid(), id, merged_into, 0, 0, 0, 0, 0, 0, now(), 'STAFF', 'somebody'
        FROM customers WHERE tenant_id = '{BIG_TENANT}' AND merged_into IS NOT NULL;
    INSERT INTO customer_archivings (tenant_id, id, customer_id, archived, cause, changed_at, actor_kind, actor)
        SELECT '{BIG_TENANT}', gen_random_uuid(), customer_id, n % 2 = 0, 'CALL', now(), 'STAFF', 'somebody'
        FROM picked, generate_series(1, 2);
    UPDATE accounts SET archived_at = now()
        FROM picked WHERE tenant_id = '{BIG_TENANT}' AND accounts.customer_id = picked.customer_id AND n % 100 = 0;
    -- A backlog of the relay, of one small tenant.
    INSERT INTO events (tenant_id, id, kind, subject_kind, customer_id, payload, occurred_at)
        SELECT e.tenant_id, gen_random_uuid(), e.kind, e.subject_kind, e.customer_id, e.payload, e.occurred_at
        FROM (SELECT * FROM events WHERE tenant_id <> '{BIG_TENANT}' AND entry_id IS NULL LIMIT 1) e,
             generate_series(1, {FEW});
    INSERT INTO expiry_notices (tenant_id, lot_id, expires_at, days_before, told_at)
        SELECT tenant_id, id, now(), 1, now() - interval '1 day'
        FROM lots WHERE tenant_id = '{BIG_TENANT}' AND state <> 'OPEN' LIMIT {FEW};
    INSERT INTO jobs (tenant_id, id, kind, state, done, total, created_at, updated_at)
        SELECT '{BIG_TENANT}', gen_random_uuid(), 'RETIER', 'DONE', 0, 0, now(), now() FROM picked;
    INSERT INTO holds (tenant_id, id, customer_id, state, points, captured_points, lowered_points, discount_minor,
                       currency, value_points, value_minor, capture_on, expires_at, created_at, ended_at, actor_kind,
                       actor)
        SELECT '{BIG_TENANT}', gen_random_uuid(), customer_id, 'ACTIVE', 1, 0, 0, 0, 'EUR', 1, 1, 'CALL',
               now() + interval '9 years', now(), null, 'STAFF', 'somebody' FROM picked;
    UPDATE customers SET email = 'customer-' || id || '@example.org', phone = '+49' || right(external_id, 9),
                         category = 'category-' || right(external_id, 3), birth_day = 101 + length(external_id)
        WHERE tenant_id = '{BIG_TENANT}';
    INSERT INTO customer_identifiers (tenant_id, value, type, customer_id)
        SELECT tenant_id, external_id, 'CARD', id FROM customers WHERE tenant_id = '{BIG_TENANT}';
    INSERT INTO customer_tags (tenant_id, customer_id, tag)
        SELECT tenant_id, id, 'tag-' || right(external_id, 3) FROM customers WHERE tenant_id = '{BIG_TENANT}';
    UPDATE lots SET expires_at = now() + interval '9 years',
                    notice_at = now() + interval '8 years'
        FROM picked
        WHERE lots.tenant_id = '{BIG_TENANT}' AND lots.customer_id = picked.customer_id AND lots.state = 'OPEN';
    UPDATE accounts SET tier_review_at = now() + interval '9 years'
        FROM picked WHERE tenant_id = '{BIG_TENANT}' AND accounts.customer_id = picked.customer_id;
    UPDATE accruals SET state = 'PENDING', matured_at = null,
                        matures_at = now() + interval '9 years'
        FROM picked WHERE tenant_id = '{BIG_TENANT}' AND accruals.customer_id = picked.customer_id;
    UPDATE accounts SET available = 0, active_at = now() - interval '9 years'
        FROM (
            SELECT id FROM customers
            WHERE tenant_id = '{BIG_TENANT}' AND external_id ~ '^customer-[0-9]{{4}}$' AND merged_into IS NULL
                AND id NOT IN (SELECT customer_id FROM picked)
            ORDER BY id LIMIT {FEW}
        ) AS inactive
        WHERE tenant_id = '{BIG_TENANT}' AND accounts.customer_id = inactive.id;
    UPDATE purchases SET evaluates_at = now() + interval '9 years'
        FROM picked WHERE tenant_id = '{BIG_TENANT}' AND purchases.customer_id = picked.customer_id;
    ANALYZE;
"""


def make_large_tenant(admin_url: str) -> None:
    """Fill a migrated, empty database, as its superuser."""
    build(admin_url, Builder.of(CUSTOMERS * ENTRIES_PER_CUSTOMER, ENTRIES_PER_CUSTOMER, SMALL_SHARE))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(RARE_ROWS.encode())
        connection.execute("UPDATE programs SET settings = %s", [Jsonb(to_document(default_settings("EUR")))])
