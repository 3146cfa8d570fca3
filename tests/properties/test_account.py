from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.account import Account, Overdraft, add_pending, credit, debit, remove_pending, take_back
from loyalty.rules.errors import InsufficientPoints, LimitReached
from loyalty.rules.ids import CustomerId
from tests.properties.strategies import accounts, large_points

POINTS = st.integers(1, 2_000)


def assert_possible(account: Account) -> None:
    """Check what the database checks too: nothing is negative, and nobody has debt and available points at once."""
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


@given(accounts(), POINTS)
def test_a_promise_that_is_void_leaves_no_trace(account: Account, points: int) -> None:
    """C-20: and one that is kept is a credit like any other."""
    promised = add_pending(account, points)
    assert_possible(promised)
    assert promised.balance == account.balance
    assert remove_pending(promised, points) == account
    kept = credit(remove_pending(promised, points), points, earned=True, qualifying=True)
    assert kept == credit(account, points, earned=True, qualifying=True)


@given(accounts(), POINTS, st.sampled_from(Overdraft))
def test_taking_back_undoes_the_credit_wherever_the_points_are(
    account: Account, points: int, overdraft: Overdraft
) -> None:
    """F-01, F-05: balance, lifetime points and qualifying points are what they were before."""
    earned = credit(account, points, earned=True, qualifying=True).account
    try:
        result = take_back(earned, points, overdraft=overdraft)
    except InsufficientPoints:
        assert overdraft is Overdraft.REJECT
        assert earned.available < points
        return
    after = result.account
    assert_possible(after)
    forgotten = points - result.points_taken
    assert forgotten == 0 or overdraft is Overdraft.CLAMP
    assert after.balance == account.balance + forgotten
    assert after.lifetime_earned == account.lifetime_earned + forgotten
    assert after.qualifying == account.qualifying + forgotten
    assert (after.pending, after.held) == (account.pending, account.held)
    if overdraft is Overdraft.ALLOW_NEGATIVE:
        assert (after.available, after.debt) == (account.available, account.debt)


@given(
    large_points,
    st.lists(st.tuples(st.sampled_from(["earn", "give", "spend", "owe"]), large_points), max_size=8),
)
def test_a_promise_can_be_kept_whatever_happens_meanwhile(points: int, moves: list[tuple[str, int]]) -> None:
    """F-19: nothing that is let in until then makes the account too large for it."""
    account = add_pending(Account(debtor()), points)
    for move, moved in moves:
        try:
            if move in ("earn", "give"):
                account = credit(account, moved, earned=move == "earn", qualifying=move == "earn").account
            else:
                overdraft = Overdraft.CLAMP if move == "spend" else Overdraft.ALLOW_NEGATIVE
                account = debit(account, moved, overdraft=overdraft, qualifying=move == "owe").account
        except LimitReached:
            continue
    kept = credit(remove_pending(account, points), points, earned=True, qualifying=True).account
    assert_possible(kept)
    assert kept.balance == account.balance + points


def debtor() -> CustomerId:
    return CustomerId(UUID(int=1))
