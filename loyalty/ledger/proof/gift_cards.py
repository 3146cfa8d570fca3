"""Questions about gift cards: the entries of each card, its holds, and the points that bought it."""

from collections.abc import Mapping, Sequence

from loyalty.ledger.proof.question import Broken, Source
from loyalty.rules.entry_kinds import quote
from loyalty.rules.gift_card import GiftCardEntryKind

_EXPIRY = quote((GiftCardEntryKind.EXPIRED, GiftCardEntryKind.EXTENDED))

_SAYS_EXPIRY = quote((GiftCardEntryKind.ISSUED, GiftCardEntryKind.EXTENDED))

SOURCES: Sequence[Source] = (
    # Every entry of a card with the entry before it, and with the expiry in force before it. The expiry only gets
    # later.
    Source(
        """
        SELECT e.id, e.gift_card_id, e.sequence, e.kind, e.occurred_at, e.balance_after_minor, e.hash,
               row_number() OVER before AS number,
               lag(e.kind) OVER before AS kind_before,
               max(e.expires_at) OVER before AS over_at,
               coalesce(lag(e.balance_after_minor) OVER before, 0) + e.amount_minor AS so_far,
               sha256(coalesce(lag(e.hash) OVER before, decode(repeat('00', 32), 'hex'))
                      || convert_to(concat_ws('|', e.id, e.gift_card_id, e.sequence, e.kind, e.amount_minor,
                             e.balance_after_minor, e.currency, coalesce(e.hold_id::text, ''),
                             coalesce(((extract(epoch FROM e.expires_at) * 1000000)::bigint)::text, ''),
                             (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.actor_kind, e.actor,
                             coalesce(encode(coalesce(sha256(convert_to(e.reason, 'UTF8')), e.reason_hash), 'hex'),
                                      '')), 'UTF8')
               ) AS due
        FROM gift_card_entries e
        WHERE e.tenant_id = :current_tenant AND e.gift_card_id BETWEEN :first_id AND :last_id
        WINDOW before AS (PARTITION BY e.gift_card_id ORDER BY e.sequence)
        """,
        {
            "entries of a gift card are numbered from 1 without a gap, and the card knows the last number": Broken(
                "sequence <> number", "id, gift_card_id, sequence, number"
            ),
            "the balance after each entry of a gift card is the sum so far": Broken(
                "balance_after_minor <> so_far", "id, gift_card_id, balance_after_minor, so_far"
            ),
            "every entry of a gift card carries the hash of all it says and of the entry before it": Broken(
                "hash <> due", "id, gift_card_id, sequence"
            ),
            "a gift card expires when its time is over, and not before": Broken(
                "kind = 'EXPIRED' AND (over_at IS NULL OR occurred_at < over_at)", "id, gift_card_id, over_at"
            ),
            "nothing comes back to a gift card whose time is over, and nothing moves once it is void": Broken(
                "(kind = 'RETURNED' AND occurred_at >= over_at) OR kind_before = 'VOIDED'", "id, gift_card_id, kind"
            ),
        },
    ),
    # Every card with the sums of its entries and of its holds.
    Source(
        f"""
        SELECT coalesce(c.id, e.gift_card_id) AS id, c.face_minor, c.balance_minor, c.held_minor, c.sequence,
               c.expires_at, c.voided_at, e.last, e.last_hash, e.entered, e.issued, e.expired, e.voided, e.said_at,
               e.said_expiry, c.chain, coalesce(h.held, 0) AS held, coalesce(h.spent, 0) AS spent, h.last_held_at
        FROM (SELECT * FROM gift_cards WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) c
        FULL JOIN (
            SELECT gift_card_id, max(sequence) AS last, sum(amount_minor) AS entered,
                   (array_agg(hash ORDER BY sequence DESC))[1] AS last_hash,
                   sum(amount_minor) FILTER (WHERE kind = 'ISSUED') AS issued,
                   -coalesce(sum(amount_minor) FILTER (WHERE kind IN ({_EXPIRY})), 0) AS expired,
                   -coalesce(sum(amount_minor) FILTER (WHERE kind = 'VOIDED'), 0) AS voided,
                   max(occurred_at) FILTER (WHERE kind = 'VOIDED') AS said_at,
                   (array_agg(expires_at ORDER BY sequence DESC) FILTER (WHERE kind IN ({_SAYS_EXPIRY})))[1]
                       AS said_expiry
            FROM gift_card_entries
            WHERE tenant_id = :current_tenant AND gift_card_id BETWEEN :first_id AND :last_id
            GROUP BY gift_card_id
        ) e ON e.gift_card_id = c.id
        LEFT JOIN (
            SELECT gift_card_id, sum(amount_minor) FILTER (WHERE state = 'ACTIVE') AS held,
                   sum(captured_minor - returned_minor) AS spent, max(created_at) AS last_held_at
            FROM gift_card_holds
            WHERE tenant_id = :current_tenant AND gift_card_id BETWEEN :first_id AND :last_id
            GROUP BY gift_card_id
        ) h ON h.gift_card_id = c.id
        """,  # noqa: S608 - made of constants
        {
            "entries of a gift card are numbered from 1 without a gap, and the card knows the last number": Broken(
                "sequence IS DISTINCT FROM last", "id, sequence, last"
            ),
            "a gift card knows the hash of its last entry": Broken("chain IS DISTINCT FROM last_hash", "id, sequence"),
            "a gift card is the sum of its entries, and has between nothing and its face value": (
                Broken(
                    "balance_minor IS DISTINCT FROM entered OR balance_minor NOT BETWEEN 0 AND face_minor",
                    "id, face_minor, balance_minor, entered",
                )
            ),
            "what was issued of a gift card is spent, left, expired or void": Broken(
                "face_minor IS DISTINCT FROM issued OR face_minor <> spent + balance_minor + expired + voided"
                " OR expired < 0",
                "id, face_minor, issued, spent, balance_minor, expired, voided",
            ),
            "money of a gift card is held exactly by its active holds": Broken(
                "held_minor <> held OR held_minor > balance_minor", "id, balance_minor, held_minor, held"
            ),
            "a gift card is void exactly where an entry says so": Broken(
                "voided_at IS DISTINCT FROM said_at", "id, voided_at, said_at"
            ),
            "a gift card expires as its issue or its newest extension says": Broken(
                "expires_at IS DISTINCT FROM said_expiry", "id, expires_at, said_expiry"
            ),
            "nothing is set aside of a gift card whose time is over": Broken(
                "last_held_at >= expires_at", "id, expires_at, last_held_at"
            ),
        },
    ),
    # Every hold of a card with the sums of its entries.
    Source(
        """
        SELECT h.id, h.gift_card_id, h.state, h.captured_minor, h.returned_minor, coalesce(e.payments, 0) AS payments,
               coalesce(e.spent, 0) AS spent, coalesce(e.returned, 0) AS returned, e.is_anothers
        FROM (SELECT * FROM gift_card_holds
              WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) h
        LEFT JOIN (
            SELECT e.hold_id, count(*) FILTER (WHERE e.kind = 'SPENT') AS payments,
                   -sum(e.amount_minor) FILTER (WHERE e.kind = 'SPENT') AS spent,
                   sum(e.amount_minor) FILTER (WHERE e.kind = 'RETURNED') AS returned,
                   bool_or(e.gift_card_id <> h.gift_card_id) AS is_anothers
            FROM gift_card_entries e
            JOIN gift_card_holds h ON h.id = e.hold_id
            WHERE e.tenant_id = :current_tenant AND e.hold_id BETWEEN :first_id AND :last_id
              AND h.tenant_id = :current_tenant AND h.id BETWEEN :first_id AND :last_id
            GROUP BY e.hold_id
        ) e ON e.hold_id = h.id
        """,
        {
            "a hold of a gift card ends once: it is spent with one entry, or not at all": Broken(
                "captured_minor <> spent OR payments <> CASE state WHEN 'CAPTURED' THEN 1 ELSE 0 END OR is_anothers",
                "id, gift_card_id, state, captured_minor, spent, payments",
            ),
            "what came back to a gift card stands in its entries, and is no more than was spent": Broken(
                "returned_minor <> returned OR returned_minor > captured_minor",
                "id, gift_card_id, captured_minor, returned_minor, returned",
            ),
        },
    ),
    # Every card that was bought with points, with the entries of these points. Such an entry without a card is a row
    # too.
    Source(
        """
        SELECT c.id, c.origin, c.points_cost, b.points AS burnt, k.points AS back, k.cause_id AS cancelled,
               coalesce(b.cause_id, k.cause_id) AS cause_id, c.voided_at, c.is_unused,
               c.buyer_id = (SELECT coalesce(u.merged_into, u.id) FROM customers u
                             WHERE u.tenant_id = :current_tenant AND u.id = b.customer_id) AS is_buyers,
               c.buyer_id = (SELECT coalesce(u.merged_into, u.id) FROM customers u
                             WHERE u.tenant_id = :current_tenant AND u.id = k.customer_id) AS is_back_to_buyer,
               (b.reference_kind, b.reference_id) IS DISTINCT FROM ('GIFT_CARD', b.cause_id) AND b.cause_id IS NOT NULL
               OR (k.reference_kind, k.reference_id) IS DISTINCT FROM ('GIFT_CARD', k.cause_id)
                   AND k.cause_id IS NOT NULL AS is_strange
        FROM (
            SELECT c.id, c.origin, c.points_cost, c.buyer_id, c.voided_at, e.amount_minor = -c.face_minor AS is_unused
            FROM gift_cards c
            LEFT JOIN (SELECT gift_card_id, amount_minor FROM gift_card_entries
                       WHERE tenant_id = :current_tenant AND gift_card_id BETWEEN :first_id AND :last_id
                         AND kind = 'VOIDED') e ON e.gift_card_id = c.id
            WHERE c.tenant_id = :current_tenant AND c.id BETWEEN :first_id AND :last_id AND c.points_cost IS NOT NULL
        ) c
        FULL JOIN (SELECT cause_id, customer_id, points, reference_kind, reference_id FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id AND phase = 'BUY') b
            ON b.cause_id = c.id
        FULL JOIN (SELECT cause_id, customer_id, points, reference_kind, reference_id FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id AND phase = 'CANCEL') k
            ON k.cause_id = coalesce(c.id, b.cause_id)
        """,
        {
            "every entry has a cause": Broken("id IS NULL", "cause_id, burnt, back"),
            "every entry leads to what it is about": Broken("is_strange", "id, cause_id"),
            "no gift card was bought for points that were not burnt, by its buyer": Broken(
                "id IS NOT NULL AND (burnt IS DISTINCT FROM -points_cost OR is_buyers IS NOT TRUE)",
                "id, points_cost, burnt",
            ),
            "points come back for a gift card that was cancelled unused, all of them and to its buyer": Broken(
                "id IS NOT NULL AND cancelled IS NOT NULL AND (back <> points_cost OR voided_at IS NULL"
                " OR is_unused IS NOT TRUE OR is_back_to_buyer IS NOT TRUE)",
                "id, points_cost, back, voided_at",
            ),
        },
    ),
)

QUESTIONS: Mapping[str, str] = {
    "as many gift cards of a product are sold as there are that are not void": """
        SELECT p.id, p.sold, p.stock, count(c.id) AS cards
        FROM gift_card_products p
        LEFT JOIN gift_cards c ON c.tenant_id = :current_tenant AND c.product_id = p.id AND c.voided_at IS NULL
        WHERE p.tenant_id = :current_tenant
        GROUP BY p.tenant_id, p.id HAVING p.sold <> count(c.id)
    """,
    # Before payloads had versions, a card without a buyer had events only while it had a holder.
    "every entry of a gift card is told once, and no other": """
        SELECT coalesce(e.gift_card_id, t.gift_card_id) AS gift_card_id, coalesce(e.kind, t.kind) AS kind,
               e.entries, t.told
        FROM (SELECT e.gift_card_id::text AS gift_card_id, 'gift_card.' || lower(e.kind) AS kind, count(*) AS entries,
                     bool_or(c.buyer_id IS NOT NULL) AS is_bought
              FROM gift_card_entries e
              JOIN gift_cards c ON c.tenant_id = :current_tenant AND c.id = e.gift_card_id
              WHERE e.tenant_id = :current_tenant GROUP BY e.gift_card_id, e.kind) e
        FULL JOIN (SELECT payload->>'gift_card_id' AS gift_card_id, kind, count(*) AS told FROM events
                   WHERE tenant_id = :current_tenant AND entry_id IS NULL
                     AND kind IN ('gift_card.issued', 'gift_card.spent', 'gift_card.returned', 'gift_card.expired',
                                  'gift_card.extended', 'gift_card.voided')
                   GROUP BY 1, 2) t
            ON t.gift_card_id = e.gift_card_id AND t.kind = e.kind
        LEFT JOIN (SELECT DISTINCT payload->>'gift_card_id' AS gift_card_id FROM events
                   WHERE tenant_id = :current_tenant AND entry_id IS NULL AND kind = 'gift_card.issued'
                     AND payload->>'version' IS NOT NULL) i
            ON i.gift_card_id = e.gift_card_id
        WHERE coalesce(t.told, 0) > coalesce(e.entries, 0)
           OR ((e.is_bought OR i.gift_card_id IS NOT NULL) AND e.entries <> coalesce(t.told, 0))
    """,
    # The worker is normally a second late; if it is a day late, something is wrong. The time is that of the newest
    # entry.
    "nothing is left of a gift card a day after its time": """
        SELECT c.id, c.balance_minor, c.held_minor, c.due_at FROM gift_cards c
        WHERE c.tenant_id = :current_tenant AND c.due_at < greatest(
            (SELECT max(e.occurred_at) FROM entries e WHERE e.tenant_id = :current_tenant),
            (SELECT max(e.occurred_at) FROM gift_card_entries e WHERE e.tenant_id = :current_tenant)
        ) - interval '1 day'
    """,
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
