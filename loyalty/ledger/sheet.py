"""What all parts of a book share."""

from dataclasses import dataclass, field
from datetime import datetime

from loyalty.ledger.posting import Posting
from loyalty.ledger.program import CompiledProgram
from permissions.actor import Actor


@dataclass(slots=True)
class Sheet:
    """By which program, by whom and when something is booked, and the posting that it goes into."""

    program: CompiledProgram
    actor: Actor
    now: datetime
    posting: Posting = field(default_factory=Posting)
