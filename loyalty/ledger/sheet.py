"""The data that all parts of a book share."""

from dataclasses import dataclass, field
from datetime import datetime

from loyalty.ledger.posting import Posting
from loyalty.ledger.program import CompiledProgram
from permissions.actor import Actor


@dataclass(slots=True)
class Sheet:
    """The program, the actor and the time of a book, and the posting that collects its rows."""

    program: CompiledProgram
    actor: Actor
    now: datetime
    posting: Posting = field(default_factory=Posting)
