"""The proof that the ledger adds up, as a query."""

import strawberry

from loyalty.ledger.proof.asking import INVARIANTS
from loyalty.services.verification import MAX_ENTRIES_IN_A_REQUEST, get_verification
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded
from schema.types.node import show_rows


@strawberry.type(description="An invariant of the ledger that does not hold.")
class LedgerDifference:
    invariant: str = strawberry.field(description="What should be so, in English.")
    rows: int = strawberry.field(description="In how many rows it is not so.")


@strawberry.type(description="Whether the tenant's ledger adds up, as one moment saw it.")
class LedgerVerification:
    sound: bool = strawberry.field(description="True when every invariant holds.")
    invariants: int = strawberry.field(description="How many invariants were checked.")
    entries: int = strawberry.field(description="How many entries the ledger had at that moment.")
    differences: list[LedgerDifference] = strawberry.field(description="The invariants that do not hold.")


@guarded(
    Permission.LOYALTY_REPORT,
    description=(
        "Check every invariant of the tenant's ledger. Reads everything, so ask seldom. A ledger of more than "
        f"{MAX_ENTRIES_IN_A_REQUEST:,} entries is refused with the reason LIMIT_REACHED: that is for `treue verify`."
    ),
)
async def ledger_verification(info: Info) -> LedgerVerification:
    """Verify the ledger with the same statements as `treue verify`."""
    verification = await get_verification(info.context.world, info.context.actor)
    return LedgerVerification(
        sound=not verification.differences,
        invariants=len(INVARIANTS),
        entries=verification.entries,
        differences=show_rows(LedgerDifference, verification.differences),
    )
