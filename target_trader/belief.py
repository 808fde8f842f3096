"""What the bot believes, as `state` prints it: one JSON object, decimals as text.

The harness and other readers take their verdicts from it, so that a key, once there, stays.
"""

from typing import Any

from target_trader.settings import Rules
from target_trader.state.checkpoint import Checkpoint


def belief(checkpoint: Checkpoint | None, rules: Rules) -> dict[str, Any]:
    """Return what `state` prints; the empty belief when there is no state.

    A symbol with several trades at once (`scale_in`) has one line among the positions: the sum of
    their shares, and price and stop of the newest. `trades` has each of them.
    """
    positions = checkpoint.open_positions() if checkpoint else []
    return {
        "positions": {
            each.symbol: {
                "quantity": str(checkpoint.held(each.symbol) if checkpoint else 0),
                "entry_price": str(each.entry_price),
                "stop_price": str(each.stop_price),
                "partials": len(each.partials_taken),
                "status": each.status.value,
            }
            for each in positions
        },
        "attempts": dict(checkpoint.attempts) if checkpoint else {},
        "intents": [
            {
                "order_ref": each.order_ref,
                "leg": each.leg.value,
                "state": each.state.value,
                "quantity": str(each.quantity),
                "order_id": each.order_id,
                "perm_id": each.perm_id,
            }
            for each in (checkpoint.intents if checkpoint else [])
        ],
        **fills(checkpoint),
        "realized_pnl": str(checkpoint.session.daily_pnl) if checkpoint else "0",
        "trades_today": checkpoint.session.trades_today if checkpoint else 0,
        "halted": checkpoint.halted if checkpoint else None,
        "saved_at": checkpoint.saved_at.isoformat() if checkpoint else None,
        **limits(checkpoint),
        **trading(checkpoint),
        "warmup": {
            symbol: {
                "bars_seen": each.bars_seen,
                "last_bar": each.last_bar.isoformat() if each.last_bar else None,
            }
            for symbol, each in (checkpoint.breakouts.items() if checkpoint else ())
        },
        "rules": promises(rules),
    }


def fills(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Return the ids of the booked executions, and what stands for those that were never told."""
    booked = checkpoint.executions.values() if checkpoint else ()
    return {
        "executions": sorted(each.exec_id for each in booked if not each.estimated),
        "estimated": sorted(each.exec_id for each in booked if each.estimated),
    }


def promises(rules: Rules) -> dict[str, Any]:
    """Return the numbers that the bot keeps to, as far as others can check them."""
    return {
        "max_attempts": rules.max_attempts,
        "max_daily_loss": str(rules.max_daily_loss),
        "max_daily_trades": rules.max_daily_trades,
        "breaker_failures": rules.breaker_failures,
        "partial_share": str(rules.partial_share),
        "breakeven_after_partial": True,
        "warmup_gap_seconds": str(int(rules.warmup_gap.total_seconds())),
    }


def limits(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Return what keeps the bot from trading: halts, frozen symbols, the circuit breaker."""
    breaker = checkpoint.circuit_breaker if checkpoint else None
    tripped = breaker.tripped_at if breaker else None
    return {
        "halts": [
            {"kind": each.kind.value, "reason": each.reason, "since": each.since.isoformat()}
            for each in (checkpoint.halts if checkpoint else [])
        ],
        "frozen": dict(checkpoint.frozen) if checkpoint else {},
        "circuit_breaker": {
            "failures": breaker.failures if breaker else 0,
            "tripped_at": tripped.isoformat() if tripped else None,
            "last_failure": breaker.last_failure if breaker else None,
        },
    }


def trading(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Return day, cash, last signals and every trade with its status."""
    cash = checkpoint.cash if checkpoint else None
    return {
        "day": checkpoint.day.isoformat() if checkpoint else None,
        "cash": str(cash) if cash is not None else None,
        "last_signals": {
            key: {
                "signal": each.signal,
                "bar_time": each.bar_time.isoformat(),
                "price": str(each.price),
            }
            for key, each in (checkpoint.last_signals.items() if checkpoint else ())
        },
        "trades": {
            trade_id: {
                "symbol": each.symbol,
                "side": each.side.value,
                "strategy": each.strategy,
                "status": each.status.value,
                "quantity": str(each.shares),
                "qty_closed": str(each.closed_shares),
                "pnl": str(each.realized_pnl),
                "signal_time": each.signal_time.isoformat() if each.signal_known else None,
            }
            for trade_id, each in (checkpoint.positions.items() if checkpoint else ())
        },
    }
