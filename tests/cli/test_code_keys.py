"""The file with the keys of gift cards: made once, read strictly, never shown."""

import stat
from pathlib import Path
from uuid import UUID

import pytest

from cli.credentials import CODE_KEYS_FILE, local_code_keys
from loyalty.rules.ids import GiftCardId, TenantId
from loyalty.storage.gift_card_codes import CodeKeys, new_code
from runtime.problems import SetupProblem
from runtime.settings import Settings

TENANT, CARD = TenantId(UUID(int=1)), GiftCardId(UUID(int=2))


def named(folder: Path, text: str | bytes) -> Settings:
    """Return settings that name a file of keys."""
    file = folder / "keys.txt"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return Settings(data_dir=folder / "data", gift_card_keys_file=file)


def test_makes_a_key_once_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings, code = Settings(data_dir=tmp_path / "data"), new_code()
    sealed = local_code_keys(settings).seal(TENANT, CARD, code)
    assert local_code_keys(settings).open(TENANT, CARD, sealed) == code
    assert stat.S_IMODE((tmp_path / "data" / CODE_KEYS_FILE).stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "data").iterdir()] == [CODE_KEYS_FILE], "nothing is left over"


def test_reads_the_newest_key_first_and_leaves_out_comments(tmp_path: Path) -> None:
    keys = local_code_keys(named(tmp_path, f"# newest\n{'AB' * 32}\n\n  {'cd' * 32}  \n"))
    code = new_code()
    expected = CodeKeys.of([b"\xab" * 32, b"\xcd" * 32])
    assert keys.hashes(TENANT, code) == expected.hashes(TENANT, code)
    assert not (tmp_path / "data").exists(), "no key is made where a file is named"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs 1 to 10"),
        ("# no key\n", "needs 1 to 10"),
        ("5ec2e7\n", "64 hexadecimal digits"),
        (f"{'5e' * 33}\n", "64 hexadecimal digits"),
        (f"{'5e' * 31}xy\n", "64 hexadecimal digits"),
        (f"{'5e' * 32}\n{'5E' * 32}\n", "different keys"),
        ("".join(f"{number:064x}\n" for number in range(11)), "needs 1 to 10"),
        (b"\xff\xfe5e5e", "ASCII"),
    ],
)
def test_a_wrong_file_ends_the_command_and_is_not_shown(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(SetupProblem, match=reason) as problem:
        local_code_keys(named(tmp_path, text))
    assert "keys.txt" in str(problem.value)
    assert "5e5e" not in str(problem.value).lower()
    assert "5ec2e7" not in str(problem.value)


def test_a_file_that_is_named_but_missing_is_not_made(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, gift_card_keys_file=tmp_path / "missing.txt")
    with pytest.raises(SetupProblem, match=r"missing\.txt"):
        local_code_keys(settings)
    assert list(tmp_path.iterdir()) == []
