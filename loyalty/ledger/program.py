"""A tenant's configuration, compiled once for each version of it: what every book is kept by."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from loyalty.rules.account import Account
from loyalty.rules.earning import CatalogKind, CompiledRules, EarningPolicy, compile_rules
from loyalty.rules.errors import NotFound
from loyalty.rules.ids import TenantId, TierId
from loyalty.rules.money import PointValue
from loyalty.rules.program import ProgramSettings
from loyalty.rules.standing import count_qualifying
from loyalty.rules.tiers import Tier
from loyalty.storage.programs import ProgramConfig, ProgramRow, read_config
from tenancy.reading import Reads

MAX_CACHED_PROGRAMS = 1_000


@dataclass(frozen=True, slots=True)
class CompiledProgram:
    """A tenant's whole configuration at one ``config_version``, ready to evaluate with."""

    row: ProgramRow
    rules: CompiledRules
    tiers: tuple[Tier, ...]
    former_tiers: tuple[Tier, ...]
    names: Mapping[tuple[CatalogKind, str], str]
    inactivity_days: tuple[int, ...]
    """After how many days of inactivity points may expire, as the program or a rule says now or said once."""

    @property
    def zone(self) -> ZoneInfo:
        """Where the tenant's days begin and end."""
        return self.rules.zone

    @property
    def point_value(self) -> PointValue:
        """What points are worth at checkout."""
        return self.row.settings.redemption.point_value

    def tier(self, tier_id: TierId | None) -> Tier | None:
        """The tier with this id, in force or deleted."""
        return next((tier for tier in (*self.tiers, *self.former_tiers) if tier.id == tier_id), None)

    def tier_above(self, account: Account) -> Tier | None:
        """The next tier: the lowest one above an account's own that the points do not reach."""
        points, own = count_qualifying(self.row.settings.tiering, account), self.tier(account.tier_id)
        reached = points if own is None else max(points, own.min_points)
        above = (tier for tier in self.tiers if tier.min_points > reached)
        return min(above, key=lambda tier: tier.min_points, default=None)


class ProgramCache:
    """Compiled programs of the tenants seen last, each checked against the version its transaction reads.

    Never stale: every transaction reads the tenant's ``config_version`` anyway, and an older compilation is not used.
    """

    def __init__(self) -> None:
        self._programs: OrderedDict[TenantId, CompiledProgram] = OrderedDict()

    async def at(self, tx: Reads, config_version: int) -> CompiledProgram:
        """The program at ``config_version`` or newer; reads and compiles it only when this process has an older one."""
        known = self._programs.get(tx.tenant_id)
        if known is not None and known.row.config_version >= config_version:
            self._programs.move_to_end(tx.tenant_id)
            return known
        config = await read_config(tx)
        if config is None:
            raise NotFound("program")
        program = compile_program(config)
        self._programs[tx.tenant_id] = program
        self._programs.move_to_end(tx.tenant_id)
        if len(self._programs) > MAX_CACHED_PROGRAMS:
            self._programs.popitem(last=False)
        return program


def compile_program(config: ProgramConfig) -> CompiledProgram:
    """Prepare a configuration for evaluation."""
    program = config.program
    policy = earning_policy(program.settings, program)
    return CompiledProgram(
        row=program,
        rules=compile_rules(policy, config.rules, config.catalog),
        tiers=config.tiers,
        former_tiers=config.former_tiers,
        names={(item.kind, item.external_id): item.name for item in config.catalog},
        inactivity_days=config.inactivity_days,
    )


def earning_policy(settings: ProgramSettings, program: ProgramRow) -> EarningPolicy:
    """What settings say about earning, in the currency and the time zone of a program's tenant."""
    return EarningPolicy(
        stacking=settings.stacking,
        earn_scope=settings.earn_scope,
        weekday_of=settings.weekday_of,
        currency=program.currency,
        time_zone=program.time_zone,
        basis=settings.basis,
    )
