"""Questions about accruals: their lines, their entries, their events and their former valuations."""

from collections.abc import Mapping, Sequence

from loyalty.ledger.proof.question import Broken, Source
from loyalty.rules.entry_kinds import quote
from loyalty.rules.purchase import ENDED

SOURCES: Sequence[Source] = (
    # Every accrual with its lines and its entries.
    Source(
        """
        SELECT a.*, e.points AS earned, r.points AS entered, coalesce(e.cause_id, r.cause_id) AS cause_id,
               e.reference_kind, e.reference_id, r.reference_kind AS back_kind, r.reference_id AS back_id
        FROM (
            SELECT a.id, a.purchase_id, a.state, a.points, a.voided_points, a.reversed_points, a.matures_at,
                   a.earned_points, a.taken_points, a.earned_points - a.taken_points AS net,
                   a.points - a.voided_points - a.reversed_points AS outstanding,
                   a.matured_at, a.policy->>'debt' AS debt, b.lines, b.strange, a.points - a.voided_points AS left_over,
                   a.state NOT IN ('EVALUATED', 'PENDING', 'VOIDED') AS credited
            FROM accruals a
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(line.points), 0) AS lines,
                       count(*) FILTER (WHERE (line.outcome = 'APPLIED') <> (line.points > 0)) AS strange
                FROM jsonb_to_recordset(a.breakdown) AS line (points bigint, outcome text)
            ) b
            WHERE a.tenant_id = :current_tenant AND a.id BETWEEN :first_id AND :last_id
            OFFSET 0 -- so that no join below carries the documents along
        ) a
        FULL JOIN (SELECT cause_id, reference_kind, reference_id, sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id
                     AND phase BETWEEN 'EARN' AND 'EARN-~'
                   GROUP BY cause_id, reference_kind, reference_id) e ON e.cause_id = a.id
        FULL JOIN (SELECT cause_id, reference_kind, reference_id, -sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id
                     AND phase BETWEEN 'REVERSE-' AND 'REVERSE-~'
                   GROUP BY cause_id, reference_kind, reference_id) r ON r.cause_id = coalesce(a.id, e.cause_id)
        """,
        {
            "the lines of an accrual add up to its points": Broken("points <> lines", "id, points, lines"),
            "only a line that was applied gives points": Broken("strange > 0", "id, strange"),
            "what an accrual was credited with, and what was taken of it, stands in the ledger": Broken(
                "coalesce(earned, 0) <> earned_points OR coalesce(entered, 0) <> taken_points",
                "id, earned_points, earned, taken_points, entered",
            ),
            # With CLAMP, points that the customer had spent are not taken back, so the entries may take fewer points.
            "an accrual has given what its newest valuation says, less what was lost": Broken(
                "CASE WHEN NOT credited THEN net <> 0 WHEN debt = 'CLAMP' THEN net < outstanding"
                " ELSE net <> outstanding END",
                "id, state, points, voided_points, reversed_points, earned_points, taken_points",
            ),
            "the state of an accrual follows from its points": Broken(
                "(left_over > 0 AND (state = 'REVERSED') <> (reversed_points = left_over))"
                " OR (state = 'PARTIALLY_REVERSED') <> (reversed_points > 0 AND reversed_points < left_over)"
                " OR (points > 0 AND (state = 'VOIDED') <> (voided_points = points))",
                "id, state, points, voided_points, reversed_points",
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, earned, entered"),
            "every entry leads to what it is about": Broken(
                "(reference_kind, reference_id) <> ('PURCHASE', purchase_id)"
                " OR (back_kind, back_id) <> ('PURCHASE', purchase_id)",
                "id, purchase_id, reference_kind, reference_id, back_kind, back_id",
            ),
            "points that were never credited stand nowhere in the ledger": Broken(
                "NOT credited AND (earned IS NOT NULL OR entered IS NOT NULL)", "id, state, earned, entered"
            ),
            "an accrual is credited or waits, and waits no longer than it says": Broken(
                "(matured_at IS NOT NULL) <> credited OR (points > 0 AND matured_at < matures_at)",
                "id, state, matures_at, matured_at",
            ),
        },
    ),
    # Every accrual that is pending, or has an event from before it was credited; with these events.
    Source(
        """
        SELECT a.id, a.state, a.points, a.voided_points, a.first_credit, coalesce(v.pending, 0) AS pending,
               coalesce(v.voided, 0) AS voided, coalesce(v.promised, 0) AS promised, coalesce(v.broken, 0) AS broken
        FROM (
            SELECT coalesce(w.id, v.accrual_id) AS accrual_id, v.pending, v.voided, v.promised, v.broken
            FROM (SELECT id FROM accruals WHERE tenant_id = :current_tenant AND state = 'PENDING') w
            FULL JOIN (
                SELECT accrual_id,
                       count(*) FILTER (WHERE kind = 'points.pending') AS pending,
                       count(*) FILTER (WHERE kind = 'points.voided') AS voided,
                       sum(points) FILTER (WHERE kind = 'points.pending') AS promised,
                       sum(points) FILTER (WHERE kind = 'points.voided') AS broken
                FROM (SELECT kind, (payload->>'accrual_id')::uuid AS accrual_id, (payload->>'points')::bigint AS points
                      FROM events
                      WHERE tenant_id = :current_tenant AND entry_id IS NULL
                        AND kind IN ('points.pending', 'points.voided')) told
                GROUP BY accrual_id
            ) v ON v.accrual_id = w.id
            ORDER BY 1 -- so that what is looked up lies side by side
        ) v
        LEFT JOIN LATERAL (SELECT id, state, points, voided_points, coalesce(
                               (SELECT e.points FROM entries e WHERE e.tenant_id = :current_tenant
                                  AND e.cause_id = v.accrual_id AND e.phase = 'EARN'), 0) AS first_credit
                           FROM accruals
                           WHERE tenant_id = :current_tenant AND id = v.accrual_id OFFSET 0) a ON true
        """,
        {
            "a promise is told once, and what is broken of it": Broken(
                # A new valuation adds to the pending points or voids some of them. The pending points that are left are
                # credited.
                "id IS NULL OR broken > promised OR promised - broken <> CASE state WHEN 'PENDING' THEN"
                " points - voided_points WHEN 'VOIDED' THEN 0 ELSE first_credit END"
                " OR (state = 'PENDING' AND points > 0 AND pending = 0) OR (pending = 0 AND voided > 0)",
                "id, state, points, voided_points, promised, broken, first_credit",
            ),
        },
    ),
)

QUESTIONS: Mapping[str, str] = {
    "every former valuation of an accrual is kept": """
        SELECT a.id, a.valuation, count(v.number) AS kept
        FROM (SELECT id, valuation FROM accruals WHERE tenant_id = :current_tenant AND valuation > 1) a
        FULL JOIN (SELECT accrual_id, number FROM former_valuations WHERE tenant_id = :current_tenant) v
            ON v.accrual_id = a.id AND v.number < a.valuation
        GROUP BY a.id, a.valuation, (a.id IS NULL) HAVING a.id IS NULL OR count(v.number) <> a.valuation - 1
    """,
    # Money that came back to a card counts by its share of the refunds. So purchases with such money are left out here;
    # only the rules can check them. Accruals that are not valued again when the payments change are left out too.
    "an accrual took what gift cards pay of its purchase as their holds and its reports tell it": f"""
        SELECT a.id, a.cards_paid_minor, coalesce(h.gross, 0) AS held_or_spent, told.elsewhere, told.unnamed
        FROM accruals a
        JOIN purchases p ON p.tenant_id = a.tenant_id AND p.id = a.purchase_id AND p.generation = a.generation
        LEFT JOIN (
            SELECT purchase_kind, purchase_external_id, sum(returned_minor) AS returned,
                   sum(CASE state WHEN 'ACTIVE' THEN amount_minor ELSE captured_minor END) AS gross
            FROM gift_card_holds WHERE tenant_id = :current_tenant AND purchase_kind IS NOT NULL
            GROUP BY purchase_kind, purchase_external_id
        ) h ON h.purchase_kind = p.kind AND h.purchase_external_id = p.external_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(t.amount_minor) FILTER (WHERE t.reference IS NOT NULL), 0) AS elsewhere,
                   coalesce(sum(t.amount_minor) FILTER (WHERE t.reference IS NULL), 0) AS unnamed
            FROM jsonb_to_recordset(CASE jsonb_typeof(p.payments) WHEN 'array' THEN p.payments END)
                 AS t (kind text, amount_minor bigint, reference text, names text)
            WHERE t.kind = 'GIFT_CARD' AND t.names IS NULL
        ) told
        WHERE a.tenant_id = :current_tenant AND p.tenant_id = :current_tenant
          AND a.cards_paid_minor IS NOT NULL AND a.frozen IS NOT NULL AND a.policy->>'revalue' = 'ALWAYS'
          AND p.status NOT IN ({quote(ENDED)}) AND coalesce(h.returned, 0) = 0
          AND a.cards_paid_minor <> coalesce(h.gross, 0) + told.elsewhere
                                    + greatest(told.unnamed - coalesce(h.gross, 0), 0)
    """,  # noqa: S608 - made of constants
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
