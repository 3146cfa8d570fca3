from datetime import UTC, datetime

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import (
    AdjustmentReason,
    Direction,
    choose_qualifying,
    default_qualifying,
    refuse_above_day,
    remove_points,
    sign_points,
    validate_notes,
)
from loyalty.rules.errors import InsufficientPoints, InvalidInput
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.team_errors import AdjustmentLimitReached
from tests.loyalty.rules.builders import account


@pytest.mark.parametrize(
    ("amount", "direction", "points", "signed"),
    [
        pytest.param(None, Direction.ADD, 50, 50, id="BK-43 add"),
        pytest.param(None, Direction.REMOVE, 50, -50, id="BK-43 remove"),
        pytest.param(50, None, None, 50, id="C-18 signed, added"),
        pytest.param(-50, None, None, -50, id="SB-25 signed, removed"),
        pytest.param(MAX_POINTS, None, None, MAX_POINTS, id="largest"),
        pytest.param(None, Direction.REMOVE, MAX_POINTS, -MAX_POINTS, id="largest removed"),
    ],
)
def test_both_forms_become_signed_points(
    amount: int | None, direction: Direction | None, points: int | None, signed: int
) -> None:
    """C-18: type and positive number, or one signed number; one stored form."""
    assert sign_points(amount, direction, points) == signed


@pytest.mark.parametrize(
    ("amount", "direction", "points", "path"),
    [
        pytest.param(None, None, None, "amount", id="neither form"),
        pytest.param(50, Direction.ADD, 50, "amount", id="both forms"),
        pytest.param(50, Direction.ADD, None, "amount", id="signed with a direction"),
        pytest.param(50, None, 50, "amount", id="signed with points"),
        pytest.param(None, Direction.ADD, None, "points", id="direction without points"),
        pytest.param(None, None, 50, "direction", id="points without direction"),
        pytest.param(0, None, None, "amount", id="BK-45 zero"),
        pytest.param(MAX_POINTS + 1, None, None, "amount", id="too many"),
        pytest.param(-MAX_POINTS - 1, None, None, "amount", id="too many removed"),
        pytest.param(None, Direction.ADD, 0, "points", id="BK-45 zero points"),
        pytest.param(None, Direction.ADD, -50, "points", id="F-43 negative in an add box"),
        pytest.param(None, Direction.REMOVE, -50, "points", id="F-43 negative in a remove box"),
    ],
)
def test_refuses_anything_but_exactly_one_form(
    amount: int | None, direction: Direction | None, points: int | None, path: str
) -> None:
    """C-18, BK-45: exactly one form, whole, never zero; the wrong field is named."""
    with pytest.raises(InvalidInput) as refusal:
        sign_points(amount, direction, points)
    assert refusal.value.path == (path,)


@pytest.mark.parametrize("reason", AdjustmentReason)
def test_added_points_count_for_the_tier(reason: AdjustmentReason) -> None:
    """C-07."""
    assert default_qualifying(1, reason)


@pytest.mark.parametrize("reason", AdjustmentReason)
def test_removed_points_count_only_as_a_correction(reason: AdjustmentReason) -> None:
    """C-07, BK-47."""
    assert default_qualifying(-1, reason) is (reason is AdjustmentReason.CORRECTION)


def test_has_the_reasons_of_every_seed() -> None:
    """BK-47, PB-09."""
    assert set(AdjustmentReason) == {"CORRECTION", "BONUS", "LOYALTY_BONUS", "GOODWILL", "PROMOTION", "OTHER"}


@pytest.mark.parametrize(("note", "description"), [(None, None), ("", ""), ("x" * 2_000, "x" * 500), ("a\nb", None)])
def test_notes_are_optional(note: str | None, description: str | None) -> None:
    """BK-45, C-17: an internal note and a description for the customer, either or none."""
    assert validate_notes(note, description) == []


def test_refuses_notes_that_are_too_long_or_cannot_be_stored() -> None:
    paths = [problem.path for problem in validate_notes("x" * 2_001, "\0")]
    assert paths == [("internal_note",), ("customer_description",)]


@pytest.mark.parametrize(
    ("asked", "signed", "reason", "counts"),
    [
        (None, 1, AdjustmentReason.BONUS, True),
        (None, -1, AdjustmentReason.BONUS, False),
        (None, -1, AdjustmentReason.CORRECTION, True),
        # What the caller says comes first.
        (False, 1, AdjustmentReason.BONUS, False),
        (True, -1, AdjustmentReason.BONUS, True),
    ],
)
def test_the_caller_or_the_reason_says_whether_it_counts_for_the_tier(
    *, asked: bool | None, signed: int, reason: AdjustmentReason, counts: bool
) -> None:
    assert choose_qualifying(signed, reason, asked=asked) is counts


@pytest.mark.parametrize(
    ("overdraft", "points", "from_lots", "new_debt"),
    [
        (Overdraft.REJECT, 5, 5, 0),
        (Overdraft.CLAMP, 6, 5, 0),
        (Overdraft.ALLOW_NEGATIVE, 6, 5, 1),
    ],
)
def test_points_are_removed_as_the_overdraft_allows(
    overdraft: Overdraft, points: int, from_lots: int, new_debt: int
) -> None:
    removed = remove_points(account(available=5), points, overdraft=overdraft, qualifying=False, field="amount")
    assert (removed.from_lots, removed.new_debt) == (from_lots, new_debt)
    assert removed.account.available == 5 - from_lots


@pytest.mark.parametrize(("overdraft", "available"), [(Overdraft.REJECT, 5), (Overdraft.CLAMP, 0)])
def test_where_nothing_can_be_removed_the_sent_field_is_named(overdraft: Overdraft, available: int) -> None:
    with pytest.raises(InsufficientPoints) as raised:
        remove_points(account(available=available), 6, overdraft=overdraft, qualifying=False, field="amount")
    assert raised.value.path == ("amount",)


@pytest.mark.parametrize(("moved", "left"), [(101, 1), (103, 0), (200, 0)])
def test_a_role_adjusts_so_many_points_a_day(moved: int, left: int) -> None:
    midnight = datetime(2026, 7, 1, tzinfo=UTC)
    refuse_above_day(100, 100, 2, midnight, "points")
    with pytest.raises(AdjustmentLimitReached) as raised:
        refuse_above_day(100, moved, 2, midnight, "points")
    assert (raised.value.points_left, raised.value.resets_at) == (left, midnight)
