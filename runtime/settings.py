"""The settings of a process, read from the environment once, when the process starts.

Every variable begins with TREUE_, except DATABASE_URL, a name that many platforms use. URLs hold passwords: they are
never shown, neither in `repr()` nor in the message about a wrong value.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from runtime.problems import WrongSettings

DEFAULT_PORT = 8321
HOME = "home"
"""The name of the home cluster. If the settings name one database, it is this cluster."""
MAX_POOL_SIZE = 200
MAX_WAIT_SECONDS = 300
MAX_ACCESS_TOKEN_MINUTES = 1_440
MIN_BUDGET_POINTS = 20_000
MAX_BUDGET_POINTS = 1_000_000_000


_FIELD = re.compile(r'field "(\w+)"')


def _check_postgres_url(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        raise ValueError(
            "is not a URL that PostgreSQL understands (encode special characters of the password)"
        ) from None
    # One spelling, because SQLAlchemy knows only the long one.
    return url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url


def _check_network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("must be networks in CIDR form, as 10.0.0.0/8") from None


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Network = Annotated[str, AfterValidator(_check_network)]
PostgresUrl = Annotated[str, AfterValidator(_check_postgres_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]


ClusterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class ClusterSettings(BaseModel):
    """The URLs of a cluster beside the home cluster. The variables of the same names are those of the home cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: PostgresUrl | None = Field(default=None, repr=False)
    owner_url: PostgresUrl | None = Field(default=None, repr=False)
    app_url: PostgresUrl | None = Field(default=None, repr=False)
    relay_url: PostgresUrl | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _check_urls(self) -> Self:
        if not any(url is not None for _name, url in self):
            raise ValueError("needs the URL of a role, or database_url")
        return self


class Settings(BaseSettings):
    """The settings from the environment. A variable that is missing or empty has its default."""

    model_config = SettingsConfigDict(
        env_prefix="TREUE_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    database_url: PostgresUrl | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        repr=False,
        description="An administrator's URL of a PostgreSQL server, 15 or newer; without it the embedded one starts.",
    )
    database_name: str = Field(
        default="treue", pattern=r"^[a-z][a-z0-9_]{0,62}$", description="The database that holds everything."
    )
    owner_url: PostgresUrl | None = Field(default=None, repr=False, description="Who migrates: role treue_owner.")
    app_url: PostgresUrl | None = Field(default=None, repr=False, description="Who serves: role treue_app.")
    relay_url: PostgresUrl | None = Field(default=None, repr=False, description="Who relays events: role treue_relay.")
    clusters: dict[ClusterName, ClusterSettings] = Field(
        default={},
        repr=False,
        description='Clusters beside the home cluster, as JSON: {"east": {"app_url": "…", "relay_url": "…"}}.',
    )
    data_dir: Path = Field(
        default=Path(".treue"), description="Folder of the embedded server's data and of the made-up passwords."
    )
    owner_dir: Path | None = Field(
        default=None,
        description="Folder of the owner's password, which only migrations need to see. Without it data_dir.",
    )
    app_dir: Path | None = Field(
        default=None,
        description="Folder of the password of treue_app, for servers and workers. Without it data_dir.",
    )
    relay_dir: Path | None = Field(
        default=None,
        description="Folder of the password of treue_relay, for workers and the platform's API. Without it data_dir.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    metrics_host: str = Field(default="127.0.0.1", min_length=1, description="Address where metrics are served.")
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of the metrics; 0 takes any free one. Without it there are none.",
    )
    traces_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+/[^\s?#@]*$",
        description="Where traces go by OTLP over HTTP: http://collector:4318/v1/traces. Without it there are none.",
    )
    traces_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the traces that begin here and are recorded. A caller's trace is recorded if it says so.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description='Origins whose pages may call for every tenant, as JSON: ["https://console.example"].',
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+/?$",
        description="The address that clients call, such as https://points.example; OAuth needs it behind a proxy.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description='Networks of proxies whose X-Forwarded-For is believed, as JSON: ["10.0.0.0/8"].',
    )
    access_token_minutes: int = Field(
        default=60, ge=1, le=MAX_ACCESS_TOKEN_MINUTES, description="Lifetime of the access tokens of OAuth clients."
    )
    private_providers: bool = Field(
        default=False,
        description="Let identity providers of staff be reached by plain HTTP and inside your network: for tests only.",
    )
    issuer_key_file: Path | None = Field(
        default=None, description="Private key that signs our own tokens. Without it one is made under data_dir."
    )
    gift_card_keys_file: Path | None = Field(
        default=None,
        description="Keys of the codes of gift cards, the newest first. Without it one is made under data_dir.",
    )
    budget_points: int = Field(
        default=200_000,
        ge=MIN_BUDGET_POINTS,
        le=MAX_BUDGET_POINTS,
        description="Points of cost that a tenant may spend at once, unless it has limits of its own.",
    )
    budget_points_per_second: int = Field(
        default=10_000, ge=1, le=MAX_BUDGET_POINTS, description="Points of cost that come back to a tenant each second."
    )
    persisted_queries: bool = Field(
        default=True, description="Let clients name documents by their hash; false lets them send texts only."
    )
    log_level: LogLevel = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    plans: bool = Field(
        default=True, description="Answer operations by kept plans, breadth first; false lets graphql-core run them."
    )
    pool_size: int = Field(default=10, ge=1, le=MAX_POOL_SIZE, description="Database connections of one process.")
    pool_wait_seconds: int = Field(
        default=5, ge=1, le=MAX_WAIT_SECONDS, description="How long a request waits for a free connection."
    )
    read_connections: int = Field(
        default=3,
        ge=0,
        le=MAX_POOL_SIZE,
        description="Connections of one process that many reads share at the same time; 0 reads through the pool.",
    )
    pooler: Literal["none", "transaction"] = Field(
        default="none",
        description="`transaction` behind a pooler that gives every transaction another connection, as pgbouncer does.",
    )
    shutdown_seconds: int = Field(
        default=20, ge=1, le=MAX_WAIT_SECONDS, description="How long a stopping process lets open work finish."
    )

    @model_validator(mode="after")
    def _check_cluster_names(self) -> Self:
        if HOME in self.clusters:
            raise ValueError(f"TREUE_CLUSTERS: {HOME!r} is the cluster of the other settings")
        return self


def load_settings() -> Settings:
    """Return the settings of this process. Raises WrongSettings, which names every wrong variable but not its value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [_explain_error(problem["loc"], problem["msg"]) for problem in error.errors(include_input=False)]
        raise WrongSettings(f"Wrong settings: {'; '.join(lines)}.") from None
    except SettingsError as error:
        # It quotes nothing of the value, and names the field as the code does.
        named = _FIELD.search(str(error))
        name = f"TREUE_{named[1].upper()}" if named else "A variable"
        raise WrongSettings(f"Wrong settings: {name}: must be JSON.") from None


def _explain_error(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name, *inside = [str(step) for step in location if step != "[key]"]
    within = f"{'.'.join(inside)} " if inside else ""
    return f"{'' if name == 'DATABASE_URL' else 'TREUE_'}{name.upper()}: {within}{text}"
