"""Questions about the log of events."""

from collections.abc import Mapping
from typing import get_args

from loyalty.rules.gift_card_events import GiftCardEvent

_OF_GIFT_CARDS = ", ".join(f"'{one.kind.value}'" for one in get_args(GiftCardEvent))

QUESTIONS: Mapping[str, str] = {
    "events are numbered without a gap, and the log knows the last number": """
        SELECT p.last_position, e.events, e.first, e.last
        FROM (SELECT coalesce(max(last_position), 0) AS last_position FROM event_positions
              WHERE tenant_id = :current_tenant) p,
             (SELECT count(position) AS events, min(position) AS first, coalesce(max(position), 0) AS last FROM events
              WHERE tenant_id = :current_tenant) e
        WHERE (p.last_position, p.last_position) <> (e.events, e.last) OR e.first <> 1
    """,
    "an event names the customer and the subject that its payload names": f"""
        SELECT id, kind, subject_kind, subject_id, customer_id FROM events
        WHERE tenant_id = :current_tenant
          AND ((customer_id::text IS DISTINCT FROM payload->>'customer_id'
                AND coalesce(payload->>'version', payload->>'customer_id') IS NOT NULL)
               OR subject_kind <> CASE WHEN kind IN ({_OF_GIFT_CARDS}) THEN 'GIFT_CARD' ELSE 'CUSTOMER' END
               OR subject_id::text IS DISTINCT FROM
                  CASE WHEN subject_kind = 'GIFT_CARD' THEN payload->>'gift_card_id' END)
    """,  # noqa: S608 - made of constants
}
"""Each query finds the rows that break its invariant."""
