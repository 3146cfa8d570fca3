import pytest

from loyalty.rules.account import Account, Overdraft, add_pending, credit, debit, remove_pending, take_back
from loyalty.rules.errors import InsufficientPoints, LimitReached
from loyalty.rules.points import MAX_POINTS
from tests.loyalty.rules.builders import account


def test_the_balance_is_what_is_available_and_held_less_debt() -> None:
    assert account(available=100, pending=7, held=20, debt=0).balance == 120
    assert account(held=20, debt=50).balance == -30


def test_earned_points_become_available_and_count_for_the_tier() -> None:
    """BK-33."""
    result = credit(account(available=5), 10, earned=True, qualifying=True)
    assert result.account == account(available=15, lifetime_earned=10, qualifying=10, sequence=1)
    assert (result.paid_debt, result.lot_remaining) == (0, 10)


def test_given_points_are_not_earned_points() -> None:
    """BK-43, C-07: an added adjustment may count for the tier, it is not part of what was earned."""
    result = credit(account(), 10, earned=False, qualifying=True)
    assert result.account == account(available=10, qualifying=10, sequence=1)
    result = credit(account(), 10, earned=False, qualifying=False)
    assert result.account == account(available=10, sequence=1)


@pytest.mark.parametrize(
    ("debt", "points", "available", "debt_left", "paid"),
    [(30, 10, 0, 20, 10), (30, 30, 0, 0, 30), (30, 31, 1, 0, 30), (0, 5, 5, 0, 0)],
)
def test_a_credit_pays_debt_first(debt: int, points: int, available: int, debt_left: int, paid: int) -> None:
    """C-19: the next credit pays what an earlier debit left owing."""
    result = credit(account(debt=debt), points, earned=False, qualifying=False)
    assert (result.account.available, result.account.debt) == (available, debt_left)
    assert (result.paid_debt, result.lot_remaining) == (paid, points - paid)


def test_spending_never_touches_the_tier() -> None:
    """BK-33, F-30."""
    before = account(available=100, lifetime_earned=100, qualifying=100)
    after = debit(before, 100, overdraft=Overdraft.REJECT, qualifying=False).account
    assert after == account(available=0, lifetime_earned=100, qualifying=100, sequence=1)


def test_a_correction_takes_from_the_tier_too() -> None:
    """C-07."""
    before = account(available=100, qualifying=40)
    after = debit(before, 60, overdraft=Overdraft.REJECT, qualifying=True).account
    assert after == account(available=40, qualifying=-20, sequence=1)


@pytest.mark.parametrize("overdraft", Overdraft)
def test_takes_exactly_what_is_available(overdraft: Overdraft) -> None:
    """PB-12: balance equal to what is taken."""
    result = debit(account(available=100), 100, overdraft=overdraft, qualifying=False)
    assert result.account == account(available=0, sequence=1)
    assert (result.from_lots, result.new_debt, result.points_taken) == (100, 0, 100)


def test_refuses_more_points_than_the_balance() -> None:
    """C-19: REJECT, and held points are not available."""
    before = account(available=99, held=50)
    with pytest.raises(InsufficientPoints) as refusal:
        debit(before, 100, overdraft=Overdraft.REJECT, qualifying=False)
    assert (refusal.value.available, refusal.value.required) == (99, 100)
    assert before == account(available=99, held=50)


def test_clamps_to_what_is_available() -> None:
    """C-19: CLAMP; what counts for the tier is what was taken, not what was asked."""
    result = debit(account(available=30, qualifying=500), 100, overdraft=Overdraft.CLAMP, qualifying=True)
    assert result.account == account(available=0, qualifying=470, sequence=1)
    assert (result.from_lots, result.new_debt, result.points_taken) == (30, 0, 30)


def test_clamping_to_nothing_changes_nothing() -> None:
    """C-19: no points, no entry, no number in the sequence."""
    before = account(held=10, sequence=4)
    result = debit(before, 100, overdraft=Overdraft.CLAMP, qualifying=True)
    assert result.account == before
    assert result.points_taken == 0


def test_goes_below_zero_where_the_policy_allows_it() -> None:
    """C-19: ALLOW_NEGATIVE."""
    result = debit(account(available=30, held=5), 100, overdraft=Overdraft.ALLOW_NEGATIVE, qualifying=False)
    assert result.account == account(available=0, held=5, debt=70, sequence=1)
    assert result.account.balance == -65
    assert (result.from_lots, result.new_debt, result.points_taken) == (30, 70, 100)


@pytest.mark.parametrize("points", [0, -1])
def test_moves_positive_points_only(points: int) -> None:
    """F-43: the sign comes from what is done, never from the number."""
    with pytest.raises(ValueError, match="positive"):
        credit(account(), points, earned=False, qualifying=False)
    with pytest.raises(ValueError, match="positive"):
        debit(account(available=10), points, overdraft=Overdraft.REJECT, qualifying=False)


@pytest.mark.parametrize(
    "full",
    [
        account(available=MAX_POINTS),
        account(available=MAX_POINTS - 10, held=10),
        account(lifetime_earned=MAX_POINTS),
        account(qualifying=MAX_POINTS),
        account(available=MAX_POINTS - 10, pending=10),
        account(lifetime_earned=MAX_POINTS - 10, pending=10),
        account(qualifying=MAX_POINTS - 10, pending=10),
    ],
)
def test_refuses_what_could_not_be_shown_exactly(full: Account) -> None:
    """F-19: no number of an account passes what JSON readers keep exactly."""
    with pytest.raises(LimitReached):
        credit(full, 1, earned=True, qualifying=True)


def test_refuses_debt_without_end() -> None:
    with pytest.raises(LimitReached):
        debit(account(debt=MAX_POINTS), 1, overdraft=Overdraft.ALLOW_NEGATIVE, qualifying=False)


def test_a_promise_counts_for_nothing_yet() -> None:
    """C-01, SB-04: pending points are no balance, no lifetime points and no way to a tier."""
    before = account(available=5, held=3, lifetime_earned=8, qualifying=8, sequence=4)
    promised = add_pending(before, 10)
    assert promised == account(available=5, pending=10, held=3, lifetime_earned=8, qualifying=8, sequence=4)
    assert promised.balance == before.balance
    with pytest.raises(InsufficientPoints):
        debit(promised, 6, overdraft=Overdraft.REJECT, qualifying=False)


@pytest.mark.parametrize(("pending", "points", "left"), [(10, 10, 0), (10, 4, 6)])
def test_a_promise_is_taken_away_and_nothing_else(pending: int, points: int, left: int) -> None:
    """C-20: kept or void, the promise is gone."""
    assert remove_pending(account(available=5, pending=pending), points) == account(available=5, pending=left)


def test_no_more_promises_go_than_were_made() -> None:
    with pytest.raises(ValueError, match="more points than are pending"):
        remove_pending(account(available=100, pending=9), 10)


@pytest.mark.parametrize("points", [0, -1])
def test_promises_and_reversals_are_of_positive_points_only(points: int) -> None:
    """F-43."""
    for move in (add_pending, remove_pending):
        with pytest.raises(ValueError, match="positive"):
            move(account(pending=10), points)
    with pytest.raises(ValueError, match="positive"):
        take_back(account(available=10, lifetime_earned=10, qualifying=10), points, overdraft=Overdraft.CLAMP)


@pytest.mark.parametrize(
    "full",
    [
        account(pending=MAX_POINTS),
        account(available=MAX_POINTS - 10, held=5, pending=5),
        account(available=MAX_POINTS),
        account(lifetime_earned=MAX_POINTS),
        account(qualifying=MAX_POINTS - 1, pending=1),
    ],
)
def test_promises_only_what_can_be_kept(full: Account) -> None:
    """F-19: a promise that would pass the limit at its maturity is refused when it is made, not then."""
    with pytest.raises(LimitReached):
        add_pending(full, 1)


def test_taken_back_points_count_as_never_earned() -> None:
    """F-01, C-20: lifetime points and the way to the tier go back too."""
    before = account(available=120, lifetime_earned=120, qualifying=150, sequence=2)
    result = take_back(before, 100, overdraft=Overdraft.REJECT)
    assert result.account == account(available=20, lifetime_earned=20, qualifying=50, sequence=3)
    assert (result.from_lots, result.new_debt, result.points_taken) == (100, 0, 100)


# What is available, and what remains of 100 earned points that are taken back: available, debt, earned, qualifying.
TAKEN_BACK = {
    Overdraft.ALLOW_NEGATIVE: {100: (0, 0, 0, 0), 30: (0, 70, 0, 0), 0: (0, 100, 0, 0)},
    Overdraft.CLAMP: {100: (0, 0, 0, 0), 30: (0, 0, 70, 70), 0: (0, 0, 100, 100)},
}


@pytest.mark.parametrize("overdraft", TAKEN_BACK)
@pytest.mark.parametrize("available", [100, 30, 0])
def test_points_spent_meanwhile_become_debt_or_are_forgotten(overdraft: Overdraft, available: int) -> None:
    """F-01, F-40: debt lowers what was earned by all of it, clamping by what was there."""
    before = account(available=available, lifetime_earned=100, qualifying=100)
    after = take_back(before, 100, overdraft=overdraft).account
    assert (after.available, after.debt, after.lifetime_earned, after.qualifying) == TAKEN_BACK[overdraft][available]
    assert after.sequence == (0 if overdraft is Overdraft.CLAMP and not available else 1)


@pytest.mark.parametrize("available", [99, 0])
def test_refuses_to_take_back_what_was_spent(available: int) -> None:
    with pytest.raises(InsufficientPoints) as refusal:
        take_back(account(available=available, lifetime_earned=100), 100, overdraft=Overdraft.REJECT)
    assert (refusal.value.available, refusal.value.required) == (available, 100)
