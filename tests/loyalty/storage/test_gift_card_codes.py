"""How codes of gift cards are kept: no key, no code; and keys change without losing one."""

from uuid import UUID

import pytest

from loyalty.rules.gift_card_code import CODE_LENGTH, normalise_code
from loyalty.rules.ids import GiftCardId, TenantId
from loyalty.storage.gift_card_codes import MAX_KEYS, NO_CODE_KEYS, CodeKeys, CodeUnreadable, new_code

SALON, OTHER = TenantId(UUID(int=1)), TenantId(UUID(int=2))
CARD, OTHER_CARD = GiftCardId(UUID(int=3)), GiftCardId(UUID(int=4))
OLD, NEW = b"o" * 32, b"n" * 32


def test_new_codes_are_different_and_well_formed() -> None:
    codes = {new_code() for _ in range(1_000)}
    assert len(codes) == 1_000
    assert all(normalise_code(code) == code and len(code) == CODE_LENGTH for code in codes)


def test_new_codes_use_every_symbol_in_every_place() -> None:
    """Random bits that never change would show as a place with few symbols."""
    codes = [new_code() for _ in range(3_000)]
    assert {len({code[place] for code in codes}) for place in range(CODE_LENGTH)} == {32}


def test_a_code_opens_where_it_was_sealed_and_nowhere_else() -> None:
    keys, code = CodeKeys.of([NEW]), new_code()
    sealed = keys.seal(SALON, CARD, code)
    assert keys.open(SALON, CARD, sealed) == code
    assert code.encode() not in sealed
    for tenant_id, card_id in ((OTHER, CARD), (SALON, OTHER_CARD)):
        with pytest.raises(CodeUnreadable):
            keys.open(tenant_id, card_id, sealed)


def test_a_code_is_sealed_in_another_form_each_time() -> None:
    keys, code = CodeKeys.of([NEW]), new_code()
    assert len({keys.seal(SALON, CARD, code) for _ in range(10)}) == 10


def test_notices_every_changed_byte_of_a_sealed_code() -> None:
    keys = CodeKeys.of([NEW])
    sealed = keys.seal(SALON, CARD, new_code())
    for place in range(len(sealed)):
        changed = bytes(byte ^ (1 if at == place else 0) for at, byte in enumerate(sealed))
        with pytest.raises(CodeUnreadable):
            keys.open(SALON, CARD, changed)
    for short in (b"", sealed[:3], sealed[:16], sealed[:20], sealed[:-1]):
        with pytest.raises(CodeUnreadable):
            keys.open(SALON, CARD, short)


def test_a_hash_needs_the_key_and_differs_by_tenant() -> None:
    code = new_code()
    hashes = {CodeKeys.of([key]).hash(tenant, code) for key in (OLD, NEW) for tenant in (SALON, OTHER)}
    assert len(hashes) == 4
    assert {len(value) for value in hashes} == {32}
    assert CodeKeys.of([NEW]).hash(SALON, code) == CodeKeys.of([NEW]).hash(SALON, code)


def test_keys_change_without_losing_a_card() -> None:
    before, after = CodeKeys.of([OLD]), CodeKeys.of([NEW, OLD])
    code, later = new_code(), new_code()
    sealed, found_by = before.seal(SALON, CARD, code), before.hash(SALON, code)
    assert after.open(SALON, CARD, sealed) == code
    assert after.hashes(SALON, code) == (after.hash(SALON, code), found_by)
    assert not after.is_current(sealed)
    sealed_later = after.seal(SALON, CARD, later)
    assert after.is_current(sealed_later)
    assert CodeKeys.of([NEW]).open(SALON, CARD, sealed_later) == later
    with pytest.raises(CodeUnreadable, match="not among the keys"):
        CodeKeys.of([NEW]).open(SALON, CARD, sealed)


@pytest.mark.parametrize(
    "secrets", [[], [b"short"], [b"l" * 33], [OLD, OLD], [bytes([n]) * 32 for n in range(MAX_KEYS + 1)]]
)
def test_refuses_secrets_that_make_no_keys(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="needs"):
        CodeKeys.of(secrets)


def test_a_process_without_keys_says_so() -> None:
    with pytest.raises(RuntimeError, match="no keys"):
        NO_CODE_KEYS.hash(SALON, new_code())
    with pytest.raises(RuntimeError, match="no keys"):
        NO_CODE_KEYS.hashes(SALON, new_code())


def test_keys_are_not_shown() -> None:
    keys = CodeKeys.of([NEW])
    assert "nnnn" not in repr(keys)
    assert "_Key" not in repr(keys)
