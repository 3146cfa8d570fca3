"""The location of a report, for a caller with a scope of locations."""

from dataclasses import replace

from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import InvalidInput, NotFound, refuse_problems
from loyalty.rules.location import PATH, check_location, choose_location
from loyalty.services.customer import may_see_row
from loyalty.services.purchase_recording import PurchaseRecording
from loyalty.storage.purchase_preparation import KnownPurchase
from permissions.actor import Actor


def place_recording(actor: Actor, recording: PurchaseRecording, known: KnownPurchase) -> PurchaseRecording:
    """Return a report with a location of its caller's scope.

    A report of a known purchase may leave the location out. A report of a new purchase may leave it out only if the
    scope has a single location; it is used then. Refusals: NotFound, for a purchase at a location outside the scope;
    InvalidInput, for a location outside the scope, and for null.
    """
    if actor.locations is None:
        return recording
    if known.purchase is not None and not may_see_row(actor, known.purchase):
        raise NotFound("purchase", ("external_id",))
    told = recording.report.location
    if told is ABSENT and known.purchase is not None:
        return recording
    if told is None:
        raise InvalidInput.one(*PATH, reason="must not be taken away by somebody who is limited to locations")
    named = told if isinstance(told, str) else None
    refuse_problems([check_location(actor.locations, named)])
    return recording._replace(report=replace(recording.report, location=choose_location(actor.locations, named)))
