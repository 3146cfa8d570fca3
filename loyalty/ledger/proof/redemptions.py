"""Questions about holds of points, redemptions and returns."""

from collections.abc import Sequence

from loyalty.ledger.proof.question import Broken, Source

SOURCES: Sequence[Source] = (
    # Every hold with the points that it set aside, and with its redemption.
    Source(
        """
        SELECT h.*, r.points AS redeemed, r.customer_id AS redeemed_for
        FROM (
            SELECT h.id, h.state, h.points, h.captured_points, h.lowered_points, h.customer_id,
                   coalesce(sum(t.points), 0) AS set_aside, coalesce(sum(t.lowered_points), 0) AS lowered,
                   bool_or(t.customer_id <> h.customer_id) AS is_for_others
            FROM holds h
            LEFT JOIN hold_lots t ON t.tenant_id = h.tenant_id AND t.hold_id = h.id
                 AND t.hold_id BETWEEN :first_id AND :last_id
            WHERE h.tenant_id = :current_tenant AND h.id BETWEEN :first_id AND :last_id
            GROUP BY h.tenant_id, h.id
        ) h
        LEFT JOIN redemptions r ON r.tenant_id = :current_tenant AND r.hold_id = h.id
             AND r.hold_id BETWEEN :first_id AND :last_id
        """,
        {
            "a hold sets aside what it says, for its own customer": Broken(
                "points <> set_aside OR lowered_points <> lowered OR is_for_others"
                " OR captured_points > points - lowered_points",
                "id, points, set_aside, lowered_points, lowered, customer_id",
            ),
            "a hold that was captured is one redemption of what was captured, and no other hold is": Broken(
                "coalesce(redeemed, 0) <> captured_points OR redeemed_for <> customer_id",
                "id, state, captured_points, redeemed",
            ),
        },
    ),
    # Every lot with held points, with the active holds on it.
    Source(
        """
        SELECT coalesce(l.id, h.lot_id) AS id, coalesce(l.held, 0) AS held, coalesce(h.points, 0) AS in_holds,
               l.customer_id, h.customer_id AS held_for
        FROM (SELECT id, customer_id, held FROM lots WHERE tenant_id = :current_tenant AND held > 0) l
        FULL JOIN (SELECT t.lot_id, t.customer_id, sum(t.points - t.lowered_points) AS points
                   FROM hold_lots t
                   JOIN holds h ON h.tenant_id = t.tenant_id AND h.id = t.hold_id
                   WHERE t.tenant_id = :current_tenant AND h.tenant_id = :current_tenant AND h.state = 'ACTIVE'
                   GROUP BY t.lot_id, t.customer_id) h ON h.lot_id = l.id
        """,
        {
            "points are held in a lot exactly by active holds of whom it belongs to": Broken(
                "held <> in_holds OR customer_id <> held_for", "id, held, in_holds, customer_id, held_for"
            ),
        },
    ),
    # Every redemption with its entry and its returns.
    Source(
        """
        SELECT r.id, r.points, r.returned_points, r.discount_minor, coalesce(b.points, 0) AS returned,
               coalesce(b.discount_minor, 0) AS given_back, coalesce(b.entries, 0) AS return_entries,
               coalesce(b.returns, 0) AS returns, e.cause_id, e.entries, e.points AS entered, e.is_about_it,
               e.entries = 1 AND e.points = -r.points AND e.customer_id = r.customer_id AS agrees
        FROM (SELECT * FROM redemptions WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) r
        FULL JOIN (SELECT cause_id, customer_id, count(*) AS entries, sum(points) AS points,
                          bool_and(reference_kind = 'REDEMPTION' AND reference_id = cause_id) AS is_about_it
                   FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id AND phase = 'REDEEM'
                   GROUP BY cause_id, customer_id) e ON e.cause_id = r.id
        LEFT JOIN (SELECT t.redemption_id, sum(t.points) AS points, sum(t.discount_minor) AS discount_minor,
                          count(*) AS returns, sum(
                              (SELECT count(*) FROM entries e
                               WHERE e.tenant_id = :current_tenant AND e.cause_id = t.id
                                 AND e.kind = 'REDEMPTION_RETURNED' AND e.points = t.points
                                 AND e.customer_id = t.customer_id)
                          ) AS entries
                   FROM redemption_returns t
                   WHERE t.tenant_id = :current_tenant AND t.redemption_id BETWEEN :first_id AND :last_id
                   GROUP BY t.redemption_id) b ON b.redemption_id = r.id
        """,
        {
            "a redemption has one entry, for the same customer and the same points": Broken(
                "id IS NOT NULL AND agrees IS NOT TRUE", "id, points, entries, entered"
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, entered"),
            "every entry leads to what it is about": Broken("NOT is_about_it", "id, cause_id"),
            "what came back of a redemption stands in the ledger, and is no more than was spent": Broken(
                "returned_points <> returned OR returns <> return_entries OR given_back > discount_minor"
                " OR (returned_points = points AND given_back <> discount_minor)",
                "id, points, returned_points, returned, discount_minor, given_back",
            ),
        },
    ),
)
