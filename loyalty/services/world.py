"""The world of a use case: the database, the clock, the compiled programs, the keys of gift cards, and more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loyalty.ledger.program import CompiledProgram, ProgramCache
from loyalty.services.full_windows import FullWindows
from loyalty.services.grouping import Groups
from loyalty.services.known_documents import KnownDocuments
from loyalty.services.last_use import LastUses
from loyalty.storage.gift_card_codes import NO_CODE_KEYS, CodeKeys
from tenancy.database import Database


def system_clock() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """The first argument of every use case."""

    database: Database
    clock: Callable[[], datetime] = system_clock
    programs: ProgramCache = field(default_factory=ProgramCache)
    codes: CodeKeys = NO_CODE_KEYS
    uses: LastUses = field(default_factory=LastUses)
    documents: KnownDocuments = field(default_factory=KnownDocuments)
    full_lookups: FullWindows = field(default_factory=FullWindows)
    groups: Groups = field(default_factory=Groups)
    private_providers: bool = False
    """Whether identity providers may have plain HTTP addresses and addresses that are not public."""

    def now(self, program: CompiledProgram) -> datetime:
        """Return the current time by the tenant's clock. A sandbox may have advanced its own."""
        return self.clock() + program.row.clock_advance
