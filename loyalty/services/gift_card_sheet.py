"""The printed sheet of a gift card, for its holder only: nobody else may read its code."""

from loyalty.rules.errors import NotFound
from loyalty.rules.expiry import last_day_before
from loyalty.rules.gift_card import refuse_ended
from loyalty.rules.gift_card_sheet import CardSheet
from loyalty.rules.ids import GiftCardId
from loyalty.rules.money import Money
from loyalty.services.gift_card import reveal_code
from loyalty.services.program import get_tenant, program_in_force
from loyalty.services.world import World
from loyalty.storage.gift_cards import read_cards_by_id
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require


async def read_card_sheet(world: World, actor: Actor, card_id: GiftCardId) -> CardSheet:
    """Return the sheet of a card that the caller holds, in the tenant's language and colour.

    Refusals: PermissionDenied, NotEntitled, FeatureDisabled, NotFound (also for a card of another holder),
    GiftCardEnded (voided, or its validity is over).
    """
    require(actor, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    program = await program_in_force(world, tx)
    card = (await read_cards_by_id(tx, [card_id])).get(card_id)
    code = None if card is None else reveal_code(world, actor, card)
    if card is None or code is None:
        raise NotFound("gift card", ("id",))
    refuse_ended(card.account, world.now(program), ("id",))
    return CardSheet(
        business=(await get_tenant(world, actor)).name,
        locale=program.row.locale,
        color=program.row.settings.gift_card_color,
        code=code,
        value=Money(card.account.free_minor, card.currency),
        last_day=None if card.expires_at is None else last_day_before(card.expires_at, program.zone),
    )
