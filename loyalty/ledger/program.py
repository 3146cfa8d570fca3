"""A tenant's configuration, compiled once for each version. Every book uses it."""

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
    """A tenant's whole configuration at one ``config_version``, compiled for evaluation."""

    row: ProgramRow
    rules: CompiledRules
    tiers: tuple[Tier, ...]
    former_tiers: tuple[Tier, ...]
    names: Mapping[tuple[CatalogKind, str], str]
    inactivity_days: tuple[int, ...]
    """The numbers of days of inactivity after which points may expire, by the program or a rule.

    Numbers of former versions are among them: lots may still have them.
    """

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the tenant's local days."""
        return self.rules.zone

    @property
    def point_value(self) -> PointValue:
        """The value of points at checkout."""
        return self.row.settings.redemption.point_value

    def tier(self, tier_id: TierId | None) -> Tier | None:
        """Return the tier with this id, also a deleted one; None without one."""
        if tier_id is None:
            return None
        return next((tier for tier in (*self.tiers, *self.former_tiers) if tier.id == tier_id), None)

    def tier_above(self, account: Account) -> Tier | None:
        """Return the next tier of an account: the lowest tier above its own whose minimum the points do not reach."""
        points, own = count_qualifying(self.row.settings.tiering, account), self.tier(account.tier_id)
        reached = points if own is None else max(points, own.min_points)
        above = (tier for tier in self.tiers if tier.min_points > reached)
        return min(above, key=lambda tier: tier.min_points, default=None)


class ProgramCache:
    """The compiled programs of the tenants seen last.

    A cached program is never stale: every transaction reads the tenant's ``config_version`` anyway, and an older
    program is compiled again.
    """

    def __init__(self) -> None:
        self._programs: OrderedDict[TenantId, CompiledProgram] = OrderedDict()

    async def at(self, tx: Reads, config_version: int) -> CompiledProgram:
        """Return the program at ``config_version`` or newer. It is read and compiled only if the cached one is older.

        Raises NotFound if the tenant has no program.
        """
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
    """Compile a configuration for evaluation."""
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
    """Return the part of the settings that is about earning, with the currency and the time zone of the tenant."""
    return EarningPolicy(
        stacking=settings.stacking,
        earn_scope=settings.earn_scope,
        weekday_of=settings.weekday_of,
        currency=program.currency,
        time_zone=program.time_zone,
        basis=settings.basis,
    )
