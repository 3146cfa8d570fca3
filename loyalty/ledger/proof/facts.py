"""Questions about facts of purchases and about the expiry of points, asked in slices.

Each question compares with data that was frozen at the time: the digest of a fact, the document of a report, or the
expiry policy in the breakdown of an accrual. Rows of earlier releases that froze no such data are left out.
"""

from collections.abc import Mapping

FACT_DIGEST = """sha256(convert_to(concat_ws('|', purchase_id, version, fingerprint, status, facts::text,
    (extract(epoch FROM recorded_at) * 1000000)::bigint, recorded_by, coalesce(report_key, ''),
    coalesce(report_client, ''), coalesce(state_mark, '')), 'UTF8'))"""
"""SQL for the digest of a fact: the SHA-256 over its columns."""

_SORTED_LINES = """(SELECT jsonb_agg(line ORDER BY line) FROM jsonb_array_elements({lines}) line
    WHERE line->>'quantity' IS DISTINCT FROM '0')"""
"""SQL for lines in one order. Reports may send lines in another order, and may leave out lines of quantity 0."""

_PERIOD = "CASE policy->>'period' WHEN 'MONTH' THEN 1 WHEN 'QUARTER' THEN 3 ELSE 12 END"

_DAY_OF_YEAR = """least(
    make_date({year}, (policy->>'month')::integer, 1) + (policy->>'day')::integer - 1,
    (make_date({year}, (policy->>'month')::integer, 1) + interval '1 month')::date - 1)"""

_EARLIEST = "(day + (policy->>'days')::integer)"

LAST_DAY = f"""CASE policy->>'kind'
    WHEN 'FIXED_DURATION' THEN
        (day + make_interval(months => (policy->>'months')::integer))::date + (policy->>'days')::integer
    WHEN 'INACTIVITY' THEN {_EARLIEST}
    WHEN 'END_OF_PERIOD' THEN (date_trunc(lower(policy->>'period'), day::timestamp)
        + make_interval(months => {_PERIOD} * (1 + (policy->>'periods_after')::integer)))::date - 1
    WHEN 'FIXED_DATE' THEN CASE
        WHEN {_DAY_OF_YEAR.format(year=f"extract(year FROM {_EARLIEST})::integer")} >= {_EARLIEST}
        THEN {_DAY_OF_YEAR.format(year=f"extract(year FROM {_EARLIEST})::integer")}
        ELSE {_DAY_OF_YEAR.format(year=f"extract(year FROM {_EARLIEST})::integer + 1")} END END"""
"""SQL for the last day of points that came in on the local `day` under a `policy`. Null if they never expire."""

SLICED_QUESTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    # Every fact, the last report of a purchase with the purchase, and a refund with its row.
    f"""
        SELECT f.purchase_id, f.version, f.digest, f.due, f.fingerprint, f.refund_id, f.refund_minor,
               r.amount_minor, r.id IS NOT NULL AND r.lines = f.refund_lines AND r.amount_minor = f.refund_minor
                   AND f.fingerprint = encode(sha256(convert_to('["refund","' || r.id || '"]', 'UTF8')), 'hex')
                   AS is_its_refund,
               CASE WHEN p.id IS NOT NULL THEN
                   (p.kind, p.external_id, p.total_minor::text, p.currency, p.location, p.staff)
                   IS NOT DISTINCT FROM (f.facts->>'kind', f.facts->>'external_id', f.facts->'total'->>'amount_minor',
                                         f.facts->'total'->>'currency', f.facts->>'location', f.facts->>'staff')
                   AND (p.booked_at, p.starts_at, p.ends_at) IS NOT DISTINCT FROM (
                       (f.facts->>'booked_at')::timestamptz, (f.facts->>'starts_at')::timestamptz,
                       (f.facts->>'ends_at')::timestamptz)
                   AND coalesce(p.exchange, 'null') = coalesce(f.facts->'exchange', 'null')
                   AND coalesce(p.payments, '[]') = coalesce(f.facts->'payments', '[]')
                   AND {_SORTED_LINES.format(lines="p.lines")} IS NOT DISTINCT FROM
                       {_SORTED_LINES.format(lines="f.facts->'lines'")}
               END AS is_as_told
        FROM (
            SELECT purchase_id, version, digest, fingerprint, facts, (facts->>'refund')::uuid AS refund_id,
                   (facts->>'amount_minor')::bigint AS refund_minor, facts->'lines' AS refund_lines,
                   {FACT_DIGEST} AS due,
                   max(version) FILTER (WHERE facts ? 'external_id') OVER (PARTITION BY purchase_id) AS last_report
            FROM purchase_facts
            WHERE tenant_id = :current_tenant AND purchase_id BETWEEN :first_id AND :last_id
        ) f
        LEFT JOIN (SELECT * FROM purchases
                   WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) p
            ON p.id = f.purchase_id AND f.version = f.last_report
        LEFT JOIN (SELECT id, purchase_id, amount_minor, lines FROM purchase_refunds
                   WHERE tenant_id = :current_tenant AND purchase_id BETWEEN :first_id AND :last_id) r
            ON r.purchase_id = f.purchase_id AND r.id = f.refund_id
    """: {  # noqa: S608 - made of constants
        "every fact carries the digest of all it says": ("digest <> due", "purchase_id, version"),
        "a purchase is what its last report told of it": ("is_as_told IS FALSE", "purchase_id, version"),
        "a fact of a refund names its refund, and says the same": (
            "refund_id IS NOT NULL AND is_its_refund IS NOT TRUE",
            "purchase_id, version, refund_id, refund_minor, amount_minor",
        ),
    },
    # Every lot of earned points, and the expiry policy that the rules gave when the points were earned.
    f"""
        SELECT l.id, l.opened_expires_at, l.inactivity_days, a.is_due
        FROM (
            SELECT id, entry_id, opened_expires_at, inactivity_days FROM lots
            WHERE tenant_id = :current_tenant AND entry_id BETWEEN :first_id AND :last_id
        ) l
        JOIN (
            SELECT id, cause_id, occurred_at FROM entries
            WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id AND kind = 'EARNED'
              AND phase = 'EARN'
        ) e ON e.id = l.entry_id
        JOIN tenants o ON o.tenant_id = :current_tenant
        CROSS JOIN LATERAL (
            SELECT bool_or(
                ((l.opened_expires_at AT TIME ZONE o.time_zone)::date - 1) IS NOT DISTINCT FROM ({LAST_DAY})
                AND l.inactivity_days IS NOT DISTINCT FROM
                    CASE WHEN policy->>'kind' = 'INACTIVITY' THEN (policy->>'days')::integer END
            ) AS is_due
            FROM (
                -- Points of a reassigned purchase are as old as they were for the source.
                SELECT DISTINCT line.expiry AS policy,
                       (coalesce(v.matured_at, e.occurred_at) AT TIME ZONE o.time_zone)::date AS day
                FROM (
                    SELECT breakdown, matured_at FROM accruals
                    WHERE tenant_id = :current_tenant AND id = e.cause_id
                    -- What lives by activity lives from the day on which it was credited.
                    UNION ALL SELECT breakdown, NULL FROM accruals
                    WHERE tenant_id = :current_tenant AND id = e.cause_id
                      AND breakdown @> '[{{"expiry": {{"kind": "INACTIVITY"}}}}]'
                    UNION ALL SELECT breakdown, NULL FROM former_valuations
                    WHERE tenant_id = :current_tenant AND accrual_id = e.cause_id
                ) v, jsonb_to_recordset(v.breakdown) AS line (points bigint, expiry jsonb)
                WHERE line.points > 0 AND line.expiry->>'kind' IS NOT NULL
            ) policies
            OFFSET 0
        ) a
    """: {  # noqa: S608 - as above
        "earned points expire as the policy says that was frozen when they were earned": (
            "is_due IS FALSE",
            "id, opened_expires_at, inactivity_days",
        ),
    },
}
"""Queries for the rows of one pass, each with its invariants.

An invariant has a name that says what must be true, the condition of a row that breaks it, and the columns to show.
"""
