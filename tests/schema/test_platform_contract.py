"""The platform's contract: complete, described, and the same as the file that its clients read."""

from pathlib import Path

import schema
from schema.executable import print_sdl
from schema.platform.root import platform_schema
from tests.schema.test_contract import undescribed

SDL_FILE = Path(schema.__file__).with_name("platform.graphql")


def test_the_file_is_what_the_code_says() -> None:
    assert SDL_FILE.read_text() == print_sdl(platform_schema()), "run `make schema` and look at the difference"


def test_everything_is_described() -> None:
    assert list(undescribed(platform_schema()._schema)) == []  # noqa: SLF001 - strawberry has no other way to it
