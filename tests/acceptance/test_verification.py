"""The proof that the ledger adds up, for a tenant's own people."""

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, adjust, create_rule, record


async def test_staff_can_have_the_ledger_checked(salon: Business) -> None:
    """F-36: report totals, balances, lots and events are proven from the same rows."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    await record(salon.integration, "order-1", "42.00")
    await adjust(salon.manager, "bonus", 8)
    verification = await salon.staff.get("{ ledgerVerification { sound invariants differences { invariant rows } } }")
    assert verification["sound"] is True
    assert verification["differences"] == []
    assert verification["invariants"] > 20


async def test_one_operation_has_the_ledger_checked_once(salon: Business) -> None:
    """It reads everything, so fifty of them under aliases would be fifty times that."""
    answer = await salon.staff.answer("{ one: ledgerVerification { sound } two: ledgerVerification { sound } }")
    assert answer["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"
