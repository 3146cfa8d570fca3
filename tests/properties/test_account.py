from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.account import Account, Overdraft, credit, debit
from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.ids import CustomerId
from tests.properties.strategies import accounts

POINTS = st.integers(1, 2_000)


def assert_possible(account: Account) -> None:
    """What the database checks too: nothing negative, and nobody owes points while having some to spend."""
    assert min(account.available, account.pending, account.held, account.debt, account.lifetime_earned) >= 0
    assert account.debt == 0 or account.available == 0


@given(accounts(), POINTS, st.booleans(), st.booleans())
def test_a_credit_raises_the_balance_by_its_points(
    account: Account,
    points: int,
    earned: bool,  # noqa: FBT001
    qualifying: bool,  # noqa: FBT001
) -> None:
    """C-19: and pays debt before anything becomes available."""
    result = credit(account, points, earned=earned, qualifying=qualifying)
    after = result.account
    assert_possible(after)
    assert after.balance == account.balance + points
    assert result.paid_debt == min(account.debt, points) == account.debt - after.debt
    assert result.lot_remaining == points - result.paid_debt == after.available - account.available
    assert after.lifetime_earned - account.lifetime_earned == (points if earned else 0)
    assert after.qualifying - account.qualifying == (points if qualifying else 0)
    assert (after.pending, after.held, after.tier_id) == (account.pending, account.held, account.tier_id)
    assert after.sequence == account.sequence + 1


@given(accounts(), POINTS, st.sampled_from(Overdraft), st.booleans())
def test_a_debit_lowers_the_balance_by_what_it_takes(
    account: Account,
    points: int,
    overdraft: Overdraft,
    qualifying: bool,  # noqa: FBT001
) -> None:
    """C-19, BK-33: or is refused; held points, pending points and what was earned stay."""
    try:
        result = debit(account, points, overdraft=overdraft, qualifying=qualifying)
    except InsufficientPoints:
        assert overdraft is Overdraft.REJECT
        assert points > account.available
        return
    after = result.account
    assert_possible(after)
    assert after.balance == account.balance - result.points_taken
    assert result.points_taken == result.from_lots + result.new_debt <= points
    assert result.from_lots == account.available - after.available
    assert result.new_debt == after.debt - account.debt
    assert account.qualifying - after.qualifying == (result.points_taken if qualifying else 0)
    assert (after.pending, after.held, after.lifetime_earned) == (
        account.pending,
        account.held,
        account.lifetime_earned,
    )
    assert after.sequence == account.sequence + (1 if result.points_taken else 0)
    assert result.points_taken == (min(points, account.available) if overdraft is Overdraft.CLAMP else points)


@given(st.lists(st.tuples(st.booleans(), POINTS), max_size=20), st.sampled_from(Overdraft))
def test_the_balance_is_the_sum_of_all_entries(moves: list[tuple[bool, int]], overdraft: Overdraft) -> None:
    """BK-60, F-36: also when the account goes below zero in between."""
    account = Account(customer_id=debtor())
    entries: list[int] = []
    for gives, points in moves:
        if gives:
            account = credit(account, points, earned=True, qualifying=True).account
            entries.append(points)
            continue
        try:
            result = debit(account, points, overdraft=overdraft, qualifying=False)
        except InsufficientPoints:
            continue
        account = result.account
        entries += [-result.points_taken] if result.points_taken else []
        assert_possible(account)
    assert account.balance == sum(entries)
    assert account.sequence == len(entries)
    assert account.qualifying == sum(points for points in entries if points > 0)


@given(POINTS, st.lists(POINTS, min_size=1, max_size=10))
def test_credits_pay_a_debt_once(owed: int, parts: list[int]) -> None:
    """C-19: however they are cut up, credits pay what is owed and not a point more."""
    account = debit(Account(debtor()), owed, overdraft=Overdraft.ALLOW_NEGATIVE, qualifying=False).account
    paid = 0
    for points in parts:
        result = credit(account, points, earned=False, qualifying=False)
        account, paid = result.account, paid + result.paid_debt
    assert paid == min(owed, sum(parts))
    assert account.available == max(0, sum(parts) - owed)


def debtor() -> CustomerId:
    return CustomerId(UUID(int=1))
