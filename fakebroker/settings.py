"""Every knob of the fake broker, as one frozen value that can be read from JSON.

Defaults are the ordinary day of tws-protocol.md; the section that a knob comes from stands beside
it. A field that is spelt wrongly is an error, never a silent default. Delays are seconds in JSON
(or ISO 8601 durations). What a knob does is done elsewhere; this file only names it.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from fakebroker.faults.catalog import AnyFault

NO_DELAY = timedelta(0)
Delay = Annotated[timedelta, Field(ge=NO_DELAY)]
Shares = Annotated[Decimal, Field(gt=0, multiple_of=1)]
AccountCode = Annotated[str, Field(pattern=r"^[A-Z]{1,3}\d{4,9}$")]


class CommissionPolicy(BaseModel):
    """What IB charges for an order of US stock: its fixed schedule, exact, per order.

    The minimum and the maximum hold for the order as a whole, so a later execution of the same
    order is charged only what the whole order has come to cost more. Where the maximum is lower
    than the minimum, the maximum is charged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_share: Annotated[Decimal, Field(ge=0)] = Decimal("0.005")
    """US dollars a share."""
    minimum: Annotated[Decimal, Field(ge=0)] = Decimal("1.00")
    """US dollars an order, at least."""
    maximum_fraction: Annotated[Decimal, Field(ge=0)] = Decimal("0.01")
    """Part of the trade's value that is charged at most."""
    option_per_contract: Annotated[Decimal, Field(ge=0)] = Decimal("0.65")
    """US dollars an option contract; `minimum` holds here, too, and there is no maximum."""
    future_per_contract: Annotated[Decimal, Field(ge=0)] = Decimal("2.25")
    """US dollars a futures contract with the exchange's fees, nothing else [A]."""
    forex_fraction: Annotated[Decimal, Field(ge=0)] = Decimal("0.00002")
    """Part of a forex trade's value."""
    forex_minimum: Annotated[Decimal, Field(ge=0)] = Decimal("2.00")
    """US dollars a forex order, at least."""


class ExtraAccount(BaseModel):
    """One more account that the login manages, with books of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: AccountCode
    cash: Annotated[Decimal, Field(gt=0)] = Decimal(100_000)
    """US dollars at the start."""


class BrokerSettings(BaseModel):
    """How this broker behaves. Numbers of sections are those of tws-protocol.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: AccountCode = "DU1234567"
    """The account, or the first of several (managedAccounts, section 1)."""
    accounts: tuple[ExtraAccount, ...] = ()
    """Further accounts of the same login. With any, an order has to name its account (435)."""
    cash: Annotated[Decimal, Field(gt=0)] = Decimal(100_000)
    """US dollars at the start of the first account."""
    first_order_id: Annotated[int, Field(ge=1, lt=2**31)] = 1
    """What nextValidId says to a client id that was never seen (section 3.1)."""
    first_perm_id: Annotated[int, Field(ge=1, lt=2**31)] = 1_500_000_001
    """permId of the first order; later ones count up, so that a run repeats (section 3.2)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Gives the stem of execution ids. Nothing in the books is drawn at random."""

    fill_split: tuple[Shares, ...] = ()
    """Shares of the consecutive executions that a market order is cut into; () is one (0b.14)."""
    liquidity_per_bar: Shares | None = None
    """Shares that one order can get in one bar; the rest waits (0b.14). None is no limit."""
    price_without_tape: Annotated[Decimal, Field(gt=0)] | None = None
    """Last price of every stock that no bar has priced; None is no market until the first bar."""
    cancel_after_bars: Annotated[int, Field(ge=0)] = 0
    """A client's cancel takes hold after so many further bars of its stock; until then the order
    is PendingCancel and may still fill (0b.11, section 3.4). 0 is at once."""
    commission: CommissionPolicy = CommissionPolicy()
    """What an order costs."""
    market_hours: Literal["always", "sessions"] = "always"
    """`always`: the market is open whenever it has a price. `sessions`: the hours of the contract
    count: outside of them orders wait as PreSubmitted with warning 399, stops do not trigger and
    limits do not fill unless outsideRth, DAY orders end with the session (section 3.7)."""
    slippage: Annotated[int, Field(ge=0)] = 0
    """Ticks by which market orders, and what becomes one, fill worse; auctions have none."""
    fill_latency_bars: Annotated[int, Field(ge=0)] = 0
    """Bars of its instrument that an order needs to reach the exchange; at the end of the last
    one it can be triggered and filled, not before. 0 is at once."""
    fill_latency: Delay = NO_DELAY
    """The same as a time: the order acts in the first bar that starts, or at the first input that
    comes, so long after it was sent. Both knobs hold where both are set."""
    locate_after_bars: Annotated[int, Field(ge=0)] = 0
    """A sell order that would open a short position is Inactive with 404 and whyHeld `locate` for
    so many bars of its stock, then it works (0b.24, section 3.4). 0 is no locate."""
    split_on_modify: bool = False
    """Every modify leaves the old order alive beside a new one of the same orderId with a permId
    of its own (0b.25, section 3.2)."""
    oca_overfill: bool = False
    """OCA type 3 reduces the rest of the group only when the bar is over, so that several of its
    members can fill within one bar (0b.27, section 3.7)."""

    oca_reduction: Literal["shares", "fraction"] = "shares"
    """What OCA types 2 and 3 take off the rest of the group when a member fills: the shares that
    were filled, or of what each has left the same part as was filled of what the member had left,
    so that a member that fills wholly ends the rest; parts of a share are not left. Documented
    elsewhere as in proportion; that `shares` is what IB does is assumed [A] (section 3.7)."""

    quote_spread_ticks: Annotated[int, Field(ge=0, le=1000)] = 1
    """Ticks between bid and ask, which stand around the last price; an odd one is above it."""
    quote_size: Shares = Decimal(100)
    """Shares at the bid and at the ask (section 3.11)."""
    summary_interval: Delay = timedelta(minutes=3)
    """How often reqAccountSummary tells what the market changed; fills are told with positions."""

    position_delay: Delay = timedelta(seconds=1)
    """How long positions and account values lag the fill (0b.15, section 3.5; assumed size)."""
    commission_delay: Delay = NO_DELAY
    """How long commissionReport lags the fill (0b.12, section 3.5; 10 s were seen)."""
    release_delay: Delay = NO_DELAY
    """How long a vanished client's id stays taken: error 326 until then (0b.10, section 1)."""
    push_open_orders_on_connect: bool = True
    """Send openOrder and orderStatus of the client's live orders unasked on connect (0b.23)."""
    exec_filter_client_zero: Literal["all_clients", "only_client_zero", "no_answer"] = "all_clients"
    """reqExecutions whose clientId is 0 or empty: fills of all clients, those of client 0 alone, or
    neither a fill nor an end, ever (section 3.6, where all three were seen)."""
    corrections: Literal["replacement", "delta"] = "replacement"
    """What execDetails tells of a corrected execution, under the id with its last part raised: what
    it is now in place of what it was, or only the difference (0b.26, section 3.5). A difference
    has the execution's own side and the new price, its shares are negative where it became smaller,
    and reqExecutions then lists the first version and each difference; commissions go the same
    way [A]. The books are the same with both."""
    pending_submit: bool = False
    """Each new order is told as PendingSubmit when it goes to IB, before its first other status
    (section 3.4; some gateways do)."""
    pending_cancel: Literal["never", "in_flight", "always"] = "in_flight"
    """Where PendingCancel is told (section 3.4). `in_flight`: it is the status of an order whose
    cancel takes its time, in lists and with fills, and nobody is told when it begins. `always`: it
    is told when a cancel was asked for, also where that is done at once. `never`: such an order
    keeps the status that it had until it is Cancelled."""
    account_updates: Literal["each_client", "one_account"] = "each_client"
    """Who can subscribe with reqAccountUpdates: each client to an account of its own, or all of
    them to one; another account is then refused with 2101 (section 3.8)."""
    list_untransmitted: bool = False
    """Tell and list orders that wait for transmit=1 as if they were at IB (0b.16, section 3.3)."""
    drop_status: bool = False
    """A market order that fills sends no orderStatus (0b.13, section 3.4)."""
    dup_status: bool = False
    """Every orderStatus is sent twice (0b.13, section 3.4)."""

    subscriptions_max: Annotated[int, Field(ge=1)] = 5_000
    """Subscriptions that one client can have at once; one more is error 101. IB's limit depends on
    the account and is lower; ours only keeps a client from growing the broker without bound."""
    connections_max: Annotated[int, Field(ge=1)] = 256
    """Connections at once; one more is closed with a reason in the journal. TWS takes 32 [K]."""
    handshake_deadline: Annotated[timedelta, Field(gt=NO_DELAY)] = timedelta(seconds=10)
    """Real time from a connection to its startApi; a client that is slower is cut off."""
    messages_per_second_max: Annotated[int, Field(ge=1)] | None = None
    """More of a client in a second of exchange time: error 100, and the third time the connection
    ends (0b.28; IB's is 50). None is off, because in lockstep a second can hold a whole day."""
    faults: tuple[AnyFault, ...] = ()
    """What goes wrong (docs/faults.md); armed in this order when the broker starts."""

    @field_validator("accounts")
    @classmethod
    def _accounts_differ(
        cls, accounts: tuple[ExtraAccount, ...], info: ValidationInfo
    ) -> tuple[ExtraAccount, ...]:
        codes = [info.data.get("account"), *(row.account for row in accounts)]
        for code in codes:
            if codes.count(code) > 1:
                raise ValueError(f"account {code} is there twice; give each a code of its own")
        return accounts
