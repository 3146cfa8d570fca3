"""The reasons why a purchase has given no points to spend."""

from datetime import datetime
from typing import Any

import strawberry

from loyalty.rules.earning import ConditionKind
from loyalty.rules.nothing_earned import (
    NothingReason,
    UnearnedAccrual,
    UnearnedPurchase,
    explain_accrual,
    explain_unevaluated,
    hide_rules,
)
from loyalty.rules.nothing_earned import WhyNothing as Why
from loyalty.rules.purchase import PurchaseStatus
from loyalty.storage.accruals import AccrualRow
from permissions.catalog import Permission
from permissions.policy import allows
from schema.context import Info
from schema.loaders import load
from schema.node_ids import encode_id


@strawberry.type(description="One reason why a purchase has given no points to spend.")
class WhyNothing:
    reason_code: NothingReason = strawberry.field(description="The reason. More reasons may come.")
    message: str = strawberry.field(description="One readable sentence, in English.")
    waits_for: PurchaseStatus | None = strawberry.field(description="The status that it waits for, if it does.")
    until: datetime | None = strawberry.field(description="The time that it waits for, if it does.")
    rule_id: strawberry.ID | None = strawberry.field(
        description="The earning rule that the reason is about, which may be deleted by now."
    )
    rule_name: str | None = strawberry.field(description="The internal name of the rule when the reason was found.")
    failed_condition: ConditionKind | None = strawberry.field(description="The first condition that did not hold.")


async def explain_purchase(info: Info, purchase: Any) -> list[WhyNothing]:
    """Return the reasons for a purchase, loaded for all purchases at once; none if it gave points to spend."""
    accrual: AccrualRow | None = await load(info, "accruals", purchase.id)
    if accrual is None or accrual.generation != purchase.generation:
        policy = await load(info, "accrual_policy", None)
        seen = UnearnedPurchase(purchase.status, purchase.ends_at or purchase.starts_at)
        return [_show_reason(explain_unevaluated(policy, seen))]
    evaluated = UnearnedAccrual(
        accrual.state, accrual.points, accrual.policy, accrual.matures_at, accrual.evaluated_at, accrual.lines
    )
    found = explain_accrual(evaluated, [] if accrual.points else await load(info, "paused_rules", None))
    reads_rules = allows(info.context.actor, Permission.LOYALTY_READ)
    return [_show_reason(one) for one in (found if reads_rules else hide_rules(found))]


def _show_reason(why: Why) -> WhyNothing:
    return WhyNothing(
        reason_code=why.reason,
        message=why.message,
        waits_for=why.waits_for,
        until=why.until,
        rule_id=None if why.rule_id is None else encode_id("EarningRule", why.rule_id),
        rule_name=why.rule_name,
        failed_condition=None if why.failed_condition is None else ConditionKind(why.failed_condition),
    )
