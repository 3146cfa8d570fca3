from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.purchase import PurchaseStatus, StatusStep, next_status, reactivates

STATUSES = st.sampled_from(PurchaseStatus)
ACTIVE = (PurchaseStatus.CREATED, PurchaseStatus.CONFIRMED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED)


def statuses_taken(reports: list[PurchaseStatus]) -> list[PurchaseStatus]:
    """Return the statuses a purchase goes through when these are reported, the first one at its creation."""
    taken = reports[:1]
    for requested in reports[1:]:
        if next_status(taken[-1], requested) is StatusStep.ADVANCE:
            taken.append(requested)
    return taken


@given(STATUSES)
def test_the_same_status_again_is_a_replay(status: PurchaseStatus) -> None:
    """F-08."""
    assert next_status(status, status) is StatusStep.SAME
    assert not reactivates(status, status)


@given(st.permutations(ACTIVE), st.lists(st.sampled_from(ACTIVE), max_size=10))
def test_however_reports_arrive_the_furthest_one_stays(
    arrived: list[PurchaseStatus], repeated: list[PurchaseStatus]
) -> None:
    """F-08, PB-05: out of order and again, the end is the same and nothing ran backwards."""
    taken = statuses_taken([*arrived, *repeated])
    assert taken[-1] is PurchaseStatus.COMPLETED
    ranks = [ACTIVE.index(status) for status in taken]
    assert all(earlier < later for earlier, later in pairwise(ranks))


@given(st.lists(STATUSES, min_size=1, max_size=20))
def test_nothing_follows_a_refund(reports: list[PurchaseStatus]) -> None:
    taken = statuses_taken(reports)
    assert PurchaseStatus.REFUNDED not in taken[:-1]


@given(st.lists(STATUSES, min_size=1, max_size=20))
def test_a_purchase_only_steps_back_by_coming_back_to_life(reports: list[PurchaseStatus]) -> None:
    """F-09."""
    for earlier, later in pairwise(statuses_taken(reports)):
        if later in ACTIVE:
            assert reactivates(earlier, later) or ACTIVE.index(earlier) < ACTIVE.index(later)
