"""Why purchases have given no points: the program's accrual policy, and the times in which rules were paused."""

from loyalty.rules.accrual import AccrualPolicy
from loyalty.rules.errors import NotFound
from loyalty.rules.nothing_earned import PausedRule
from loyalty.services.world import World
from loyalty.storage.earning_rule_versions import read_paused_rules
from loyalty.storage.programs import read_program
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows, require_any

_READERS = (
    *(Permission.LOYALTY_READ, Permission.LOYALTY_REPORT),
    *(Permission.PURCHASES_RECORD, Permission.SELF_READ),
)


async def get_accrual_policy(world: World, actor: Actor) -> AccrualPolicy:
    """Return the program's accrual policy: when purchases are evaluated and when their points mature."""
    require_any(actor, *_READERS)
    program = await read_program(world.database.reading(actor.tenant_id))
    if program is None:
        raise NotFound("program")
    return program.settings.accrual


async def list_paused_rules(world: World, actor: Actor) -> list[PausedRule]:
    """Return when each rule was paused; an empty list for a caller who may not read rules."""
    require_any(actor, *_READERS)
    if not allows(actor, Permission.LOYALTY_READ):
        return []
    return await read_paused_rules(world.database.reading(actor.tenant_id))
