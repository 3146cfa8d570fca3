"""No log lines: the default renderer prints every local variable of a traceback, which takes minutes here."""

import structlog

structlog.configure(
    processors=[structlog.processors.JSONRenderer(default=repr)], logger_factory=structlog.ReturnLoggerFactory()
)
