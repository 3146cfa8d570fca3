"""The registry of sweeps, in the order in which things become due."""

from collections.abc import Sequence

from loyalty.services.abandoned_hold import free_abandoned_holds
from loyalty.services.expiry import expire_due, tell_expiring
from loyalty.services.gift_card_expiry import expire_due_cards, free_abandoned_card_holds
from loyalty.services.gift_card_notice import tell_expiring_cards
from loyalty.services.maturing import mature_due
from loyalty.services.purchase_evaluation import evaluate_due
from loyalty.services.retention_sweep import remove_due
from loyalty.services.sweep import Sweep
from loyalty.services.tier_review import review_due
from loyalty.storage.due import due_by

SWEEPS: Sequence[Sweep] = (
    Sweep("evaluation", due_by("purchases_evaluates_at_idx"), evaluate_due),
    Sweep("maturing", due_by("accruals_matures_at_idx"), mature_due),
    Sweep("holds", due_by("holds_expires_at_idx"), free_abandoned_holds),
    Sweep("notices", due_by("lots_notice_at_idx"), tell_expiring),
    # If all points of expired lots are held, nothing can expire yet.
    Sweep("expiry", due_by("lots_due_at_idx"), expire_due),
    Sweep("gift_card_holds", due_by("gift_card_holds_expires_at_idx"), free_abandoned_card_holds),
    Sweep("gift_card_notices", due_by("gift_cards_notice_at_idx"), tell_expiring_cards),
    # If all money of expired cards is held, nothing can expire yet.
    Sweep("gift_card_expiry", due_by("gift_cards_due_at_idx"), expire_due_cards),
    Sweep("tiers", due_by("accounts_tier_review_at_idx"), review_due),
    # After all that may end what keeps a customer.
    Sweep("retention", due_by("retention_looks_at_idx"), remove_due),
)
"""All sweeps. The worker and a sandbox run each until it finds no work."""

SWEEP_BY_NAME = {sweep.name: sweep for sweep in SWEEPS}
