"""The enums of the contract: the rules' own, with a description for each value."""

from collections.abc import Mapping
from enum import Enum, StrEnum

import strawberry

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, EvaluateOn, MatureOn, Revalue
from loyalty.rules.adjustment import AdjustmentReason, Direction
from loyalty.rules.basis import TaxBasis
from loyalty.rules.catalog import CatalogEarning
from loyalty.rules.earning import CatalogKind, ConditionKind, EarnScope, Outcome, Stacking, Weekday, WeekdayOf
from loyalty.rules.entry import DisplayColor, EntryKind
from loyalty.rules.events import EventKind
from loyalty.rules.expiry import ExpiryKind, Period
from loyalty.rules.presets import Preset
from loyalty.rules.purchase import LineKind, PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import CaptureOn, DiscountLimit, DiscountMethod, HoldState, PointsReason, RestorePolicy
from loyalty.rules.refund import RefundPolicy
from loyalty.rules.rounding import Rounding
from loyalty.rules.tiers import Downgrade, TierBasis, TierChangeCause
from loyalty.rules.warning import WarningCode
from loyalty.storage.customers import CustomerOrder, PointsFilter
from permissions.actor import ActorKind
from permissions.catalog import Permission


class JobState(StrEnum):
    """How far a background job has come."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


def describe_enum(kind: type[Enum], description: str, values: Mapping[str, str], *, name: str | None = None) -> None:
    """Publish an enum. Every value must be described: one that is forgotten fails at import."""
    strawberry.enum(kind, name=name, description=description)
    definition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]


describe_enum(
    ActorKind,
    "What sort of caller a credential stands for.",
    {
        "STAFF": "A person of the tenant's team.",
        "API_TOKEN": "A partner system with an API token.",
        "CUSTOMER": "A customer, in the tenant's own app.",
        "SYSTEM": "The service itself, in the background.",
    },
)
describe_enum(
    Permission,
    "One thing a caller may do inside its own tenant. A token carries the wire names, such as `loyalty:read`.",
    {
        "LOYALTY_READ": "Read program, rules, tiers, customers, purchases and ledger (`loyalty:read`).",
        "LOYALTY_MANAGE": "Change program, rules, tiers and catalogue (`loyalty:manage`).",
        "LOYALTY_ADJUST": "Add and remove points by hand (`loyalty:adjust`).",
        "LOYALTY_REPORT": "Read reports over all customers (`loyalty:report`).",
        "PURCHASES_RECORD": "Record purchases and their status (`purchases:record`).",
        "REDEMPTIONS_MANAGE": "Let any customer spend points at the checkout (`redemptions:manage`).",
        "TOKENS_MANAGE": "Create and revoke API tokens, and revoke tokens of people and customers (`tokens:manage`).",
        "CUSTOMERS_SIGN_IN": "Create customer tokens, which may do at most what their maker may (`customers:sign_in`).",
        "SELF_READ": "Read one's own points, tier and history, as a customer (`self:read`).",
        "SELF_REDEEM": "Set one's own points aside at a checkout and take them back, as a customer (`self:redeem`).",
    },
)
describe_enum(
    EvaluateOn,
    "The status at which the rules are evaluated; a later one does as well.",
    {
        "PURCHASE_CREATED": "As soon as it is booked or ordered.",
        "PURCHASE_CONFIRMED": "When the business accepts it.",
        "PURCHASE_PAID": "When it is paid.",
        "SERVICE_ENDED": "When the service has ended, as the purchase tells it; a moment, not a status.",
        "PURCHASE_COMPLETED": "When it is completed.",
    },
)
describe_enum(
    MatureOn,
    "From which moment the delay runs until points can be spent.",
    {
        "EVALUATION": "The evaluation.",
        "PURCHASE_PAID": "The report that the purchase is paid.",
        "SERVICE_ENDED": "The end of the service, as the purchase tells it.",
        "PURCHASE_COMPLETED": "The report that the purchase is completed.",
        "MANUAL": "None: points wait until `purchaseMature` lets them come.",
    },
)
describe_enum(
    TaxBasis,
    "Whether tax earns.",
    {"INCLUDED": "Amounts count as they are paid.", "EXCLUDED": "The tax that lines tell is left out."},
)
describe_enum(
    RefundPolicy,
    "What a refund takes of the points that the purchase earned.",
    {
        "PROPORTIONAL": "What the rules give for the part that was refunded.",
        "FULL_ONLY": "Nothing until everything is refunded, and then all.",
        "NONE": "Nothing.",
    },
)
describe_enum(
    LineKind,
    "What a line of a purchase is.",
    {
        "ITEM": "A service, a class or goods.",
        "SHIPPING": "What it costs to send them.",
        "GIFT_CARD": "Money that will be spent later; by default it earns nothing.",
        "TIP": "What the customer gives on top for the staff. It never earns, and a discount of the whole order leaves "
        "it as it is.",
    },
    name="PurchaseLineKind",
)
describe_enum(
    ExpiryKind,
    "By which rule points expire.",
    {
        "NONE": "Never.",
        "FIXED_DURATION": "So many months and days after they became spendable.",
        "END_OF_PERIOD": "With a calendar month, quarter or year: that in which they became spendable, or a later one.",
        "FIXED_DATE": "On a day of the year, the next one that leaves them at least so many days.",
        "INACTIVITY": "So many days after their owner last earned or redeemed.",
    },
)
describe_enum(
    Period,
    "A part of the calendar, in the tenant's time zone.",
    {"MONTH": "A month.", "QUARTER": "Three months, from January on.", "YEAR": "A year."},
    name="CalendarPeriod",
)
describe_enum(
    Preset,
    "Settings that work like a system people know.",
    {
        "BOOKNETIC": "Points at the booking, spendable at once; one point is a hundredth of the currency's unit.",
        "SIMPLYBOOK": "Points per enrolled item, spendable three hours after the end of the appointment.",
        "SHOP": "Points when the order is completed; a hundred points are one unit of the currency.",
    },
    name="ProgramPreset",
)
describe_enum(
    PurchaseKind,
    "What was bought. With the external id it names the purchase.",
    {"APPOINTMENT": "A booked appointment.", "CLASS": "A place in a class or course.", "ORDER": "An order of goods."},
)
describe_enum(
    PurchaseStatus,
    "How far a purchase has come. CREATED, CONFIRMED, PAID, COMPLETED and REFUNDED only follow one another upwards.",
    {
        "CREATED": "Booked or ordered.",
        "CONFIRMED": "Accepted by the business.",
        "PAID": "Paid in full.",
        "COMPLETED": "The service took place or the order was delivered.",
        "CANCELLED": "Called off before it took place.",
        "NO_SHOW": "The customer did not come.",
        "REFUNDED": "Paid back; final.",
    },
)
describe_enum(
    Weekday,
    "A day of the week in the time zone of the purchase's location, else of the tenant.",
    {
        day: f"{name}."
        for day, name in zip(
            ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"),
            ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
            strict=True,
        )
    },
)
describe_enum(
    Rounding,
    "How a fraction of a point becomes a whole one.",
    {"FLOOR": "Down.", "HALF_UP": "To the nearest, halves up.", "CEIL": "Up."},
)
describe_enum(
    Stacking,
    "What happens when several rules match one purchase.",
    {
        "SUM": "All of them give their points.",
        "BEST": "Only the one that gives most.",
        "FIRST_BY_PRIORITY": "Only the first by priority that gives points.",
    },
)
describe_enum(
    EarnScope,
    "Which items take part.",
    {"ALL": "Everything earns.", "OPT_IN": "Only items that are enrolled in the catalogue."},
)
describe_enum(
    WeekdayOf,
    "Whose weekday a weekday condition looks at.",
    {
        "SERVICE_START": "That of the start of the service, else of the booking.",
        "BOOKED_AT": "That of the booking.",
    },
)
describe_enum(
    Outcome,
    "What became of a rule when a purchase was evaluated.",
    {
        "APPLIED": "It matched and gave points.",
        "NOT_MATCHED": "A condition did not hold; `failedCondition` names the first.",
        "NOT_STACKED": "It matched, but another rule counts in its place.",
        "NOTHING_TO_COUNT": "It matched, but what it counts comes to no points.",
    },
    name="EarningOutcome",
)
describe_enum(
    ConditionKind,
    "A condition of an earning rule.",
    {
        "EARN_SCOPE": "No item of the purchase takes part in the program.",
        "WINDOW": "The rule was not in force at that time.",
        "LOCATIONS": "The location.",
        "EXCEPT_LOCATIONS": "The location is excepted.",
        "STAFF": "The staff member.",
        "EXCEPT_STAFF": "The staff member is excepted.",
        "CUSTOMER_CATEGORIES": "The customer's category.",
        "EXCEPT_CUSTOMER_CATEGORIES": "The customer's category is excepted.",
        "WEEKDAYS": "The weekday.",
        "EXCEPT_WEEKDAYS": "The weekday is excepted.",
        "TOTAL_GREATER_THAN": "The total is not greater than the amount.",
        "TOTAL_LESS_THAN": "The total is not less than the amount.",
        "SERVICE_CATEGORIES": "The category of the services.",
        "SERVICES": "The services.",
        "EXCEPT_SERVICE_CATEGORIES": "All that was bought belongs to a category that is excepted.",
        "EXCEPT_SERVICES": "All that was bought is excepted.",
    },
    name="EarningConditionKind",
)
describe_enum(
    CatalogEarning,
    "Whether an item of the catalogue earns.",
    {
        "PROGRAM": "By the rules of the program, whatever its category says.",
        "NOTHING": "Never, under any rule and in every scope.",
    },
)
describe_enum(
    CatalogKind,
    "What an item of the catalogue is.",
    {
        "SERVICE": "A service that is booked.",
        "CLASS": "A class or course.",
        "PRODUCT": "Something that is sold.",
        "CATEGORY": "A category of services or products.",
        "LOCATION": "A place of business, with its own time zone.",
        "STAFF": "A staff member.",
    },
)
describe_enum(
    EntryKind,
    "Why a line of the ledger moved points.",
    {
        "EARNED": "A purchase earned points.",
        "REDEEMED": "Points were spent at checkout.",
        "ADJUSTED": "Somebody corrected the points by hand.",
        "EXPIRED": "Points passed their date.",
        "EARN_REVERSED": "Earned points were taken back: cancelled, not shown up, refunded.",
        "REDEMPTION_RETURNED": "Spent points were given back.",
        "GIFT_CARD": "Points bought a gift card.",
        "OPENING": "The balance a customer brought along.",
        "MERGED": "Points moved when two customers became one.",
    },
    name="LedgerEntryKind",
)
describe_enum(
    EventKind,
    "What an event tells. More kinds will come: ignore those you do not know.",
    {
        "POINTS_EARNED": "A purchase earned points that can be spent.",
        "POINTS_PENDING": "A purchase earned points that cannot be spent yet.",
        "POINTS_VOIDED": "Pending points will not come.",
        "POINTS_REVERSED": "Earned points were taken back.",
        "POINTS_ADJUSTED": "Somebody corrected the points by hand.",
        "POINTS_HELD": "Points were set aside at a checkout.",
        "POINTS_RELEASED": "Points that were set aside came back.",
        "POINTS_REDEEMED": "Points were spent.",
        "POINTS_RETURNED": "Spent points were given back.",
        "POINTS_EXPIRING": "Points will expire soon.",
        "POINTS_EXPIRED": "Points passed their date.",
        "POINTS_OPENED": "A customer brought points along.",
        "POINTS_MERGED": "Points moved when two customers became one.",
        "TIER_UPGRADED": "A customer came into a higher tier.",
        "TIER_DOWNGRADED": "A customer fell into a lower tier.",
    },
)
describe_enum(
    DisplayColor,
    "The colour of a line in the activity log, by name.",
    {
        "GREEN": "Earned.",
        "RED": "Redeemed.",
        "PURPLE": "Adjusted.",
        "GREY": "Expired.",
        "ORANGE": "Taken back or given back.",
        "BLUE": "Pending.",
    },
)
describe_enum(
    Revalue,
    "What becomes of points when a purchase changes after its evaluation.",
    {
        "ALWAYS": "It is valued anew under the rules of the evaluation; the difference is added or taken back.",
        "NEVER": "They stay as they were evaluated.",
    },
)
describe_enum(
    AccrualState,
    "How far an accrual has come.",
    {
        "EVALUATED": "The rules were evaluated, nothing is credited yet.",
        "PENDING": "Earned, not spendable yet.",
        "AVAILABLE": "Credited.",
        "PARTIALLY_REVERSED": "A part was taken back.",
        "REVERSED": "All of it was taken back.",
        "VOIDED": "Called off before it was credited.",
    },
)
describe_enum(
    AdjustmentReason,
    "Why points were corrected by hand.",
    {
        "CORRECTION": "Something was recorded wrongly before.",
        "BONUS": "A bonus.",
        "LOYALTY_BONUS": "A thank-you for long loyalty.",
        "GOODWILL": "Goodwill after a complaint.",
        "PROMOTION": "A promotion.",
        "OTHER": "Anything else; the note tells.",
    },
)
describe_enum(
    Direction,
    "Whether an adjustment gives or takes.",
    {"ADD": "Points are added.", "REMOVE": "Points are removed."},
    name="AdjustmentDirection",
)
describe_enum(
    Overdraft,
    "What happens when more is removed than is available.",
    {
        "REJECT": "Nothing is removed; the request is refused.",
        "CLAMP": "What is available is removed, the rest is forgotten.",
        "ALLOW_NEGATIVE": "All is removed; what was not there becomes debt, which the next credit pays first.",
    },
)
describe_enum(
    TierChangeCause,
    "Why a customer's tier changed.",
    {
        "ACCRUAL": "Points were earned with a purchase.",
        "ADJUSTMENT": "Points were corrected by hand.",
        "REVERSAL": "Earned points were taken back.",
        "PROGRAM_CHANGE": "The tiers themselves were changed.",
        "OPENING": "Points were brought along from elsewhere.",
        "MERGE": "Two customers turned out to be one.",
        "REDEMPTION": "Spent points came back, in a program where the balance counts.",
        "REVIEW": "Time has passed: a window has ended, or a tier that was set by hand until then.",
        "MANUAL": "Somebody set the tier by hand, or gave it back to the rules.",
    },
)
describe_enum(
    TierBasis,
    "Which points lead to a tier.",
    {
        "LIFETIME_EARNED": "All that was ever earned; spending and expiry take none of them.",
        "EARNED_IN_WINDOW": "What was earned in the calendar window that is open.",
        "BALANCE": "What the customer has: available and held points, less debt.",
    },
)
describe_enum(
    Downgrade,
    "Whether time may lower a tier that the points do not reach any more. Corrections always do, at once.",
    {
        "NEVER": "What was reached stays.",
        "AT_WINDOW_END": "With the end of each window, and the days of grace after it.",
    },
)
describe_enum(
    DiscountMethod,
    "How points become a discount at checkout.",
    {
        "AUTOMATIC": "As many as possible are proposed; the customer may take them away.",
        "CUSTOMER_CHOICE": "None are proposed; the customer says how many.",
    },
)
describe_enum(
    CaptureOn,
    "What spends the points of a hold.",
    {
        "CALL": "Only `redemptionCapture`.",
        "PAID": "The recording of its purchase as PAID or COMPLETED as well, in the same transaction.",
    },
)
describe_enum(
    DiscountLimit,
    "What sets the most that points may take off at a checkout.",
    {
        "BALANCE": "The customer has no more points for it.",
        "MAX_POINTS": "The program's most points for one purchase.",
        "MAX_DISCOUNT": "The program's most discount for one purchase: an amount, or a percentage of the total.",
        "TOTAL": "What is payable at this checkout, as the caller says.",
        "RECORDED_TOTAL": "What is payable as the purchase is recorded, which is less than the caller says.",
    },
)
describe_enum(
    PointsReason,
    "Why a quote applies as many points as it does.",
    {
        "ASKED": "As many as were asked for.",
        "PROPOSED": "None were asked for: what the program proposes.",
        "LOWERED": "Fewer than were asked for: the rest would take nothing more off.",
        "REFUSED": "None, because what was asked for is refused.",
    },
)
describe_enum(
    HoldState,
    "How far a hold has come. It has exactly one end.",
    {
        "ACTIVE": "The points are set aside.",
        "CAPTURED": "They were spent, all or a part; the rest went back.",
        "RELEASED": "They were given back.",
        "EXPIRED": "Its time was over, and they went back by themselves.",
    },
)
describe_enum(
    RestorePolicy,
    "What becomes of points that are given back to a lot that has expired meanwhile.",
    {"GRACE": "They can be spent for some days more.", "EXPIRE": "They expire at once."},
)
describe_enum(
    PointsFilter,
    "Which customers a list shows, by their points.",
    {
        "AVAILABLE": "Those with points to spend.",
        "PENDING": "Those with points that are not spendable yet.",
        "DEBT": "Those who owe points.",
        "NONE": "Those without any points.",
        "ANY": "All.",
    },
)
describe_enum(
    CustomerOrder,
    "How a list of customers is ordered.",
    {"NAME": "By name.", "POINTS": "Most available points first.", "NEWEST": "Newest customer first."},
)
describe_enum(
    JobState,
    "How far a background job has come.",
    {
        "WAITING": "Not begun.",
        "RUNNING": "Under way.",
        "DONE": "Finished.",
        "FAILED": "Given up; `problem` tells why.",
    },
)

describe_enum(
    WarningCode,
    "What became of a value that does not hold what it should. More codes may come.",
    {
        "LEFT_OUT": "It is no value of the field; the input was taken as if the field were absent.",
        "CORRECTED": "It was written in another form, and was taken in the form that the field has.",
    },
)
