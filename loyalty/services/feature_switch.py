"""Switch a feature inside a transaction that holds the lock of the program, so that two switches never overlap."""

from datetime import datetime

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.features import Feature, SwitchResult, sort_features, switch_feature
from loyalty.services.audit import note_changes
from loyalty.storage.tenants import read_tenant, save_features
from permissions.actor import Actor
from tenancy.database import Transaction


async def apply_switch(
    tx: Transaction, by: Actor, at: datetime, feature: Feature, *, on: bool, path: tuple[str, ...] = ("feature",)
) -> SwitchResult:
    """Switch a feature; features that it needs are switched on with it. The program's own switch is saved elsewhere.

    Refusals: DependencyRequired, IncompatibleFeature.
    """
    tenant = await read_tenant(tx)
    switched = switch_feature(tenant.features, feature, on=on, path=path)
    before, after = (_name_stored(features) for features in (tenant.features, switched.features))
    if before != after:
        await save_features(tx, after)
        change = AuditedChange(AuditSubject.FEATURES, "features", "Features", {"features": before}, {"features": after})
        await note_changes(tx, by, at, [change])
    return switched


def _name_stored(features: frozenset[Feature]) -> list[str]:
    """Return the names of features to store, without LOYALTY: the switch of the program is a setting of its own."""
    return [feature.name for feature in sort_features(features - {Feature.LOYALTY})]
