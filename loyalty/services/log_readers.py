"""The registry of readers of the log. Each reads the log of every tenant at its own pace."""

from loyalty.log.readers import index_readers
from loyalty.services.figures import FIGURES

READERS = index_readers(FIGURES)
"""All readers. The relay tells each of new events, and the worker runs each."""

READER_NAMES = tuple(READERS)
