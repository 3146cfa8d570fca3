"""Set the origins of browser pages that may call a tenant."""

from collections.abc import Sequence

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import refuse_problems
from loyalty.rules.origins import check_origins
from loyalty.services.audit import note_changes
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.tenants import TenantRow, allow_origins, read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require


async def set_allowed_origins(world: World, actor: Actor, origins: Sequence[str]) -> TenantRow:
    """Replace the list of allowed origins, and return the tenant with it.

    A page with an origin that is no longer allowed is refused at its next request. Its open sockets are closed soon
    after. Refusal: InvalidInput, with the index of each wrong origin.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    kept, problems = check_origins(origins, ("origins",))
    refuse_problems(problems)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        former = await read_tenant(tx)
        await allow_origins(tx, kept)
        states = ({"origins": origins} for origins in (former.allowed_origins, kept))
        change = AuditedChange(AuditSubject.ALLOWED_ORIGINS, "origins", "Allowed origins", *states)
        await note_changes(tx, actor, world.clock(), [change])
    return former._replace(allowed_origins=kept)
