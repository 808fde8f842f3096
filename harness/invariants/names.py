"""How positions are said in a finding: LONG 50 TSLA, SHORT 50 TSLA, no TSLA."""

from decimal import Decimal


def holding(symbol: str, quantity: Decimal) -> str:
    """Say a position in capitals that cannot be overlooked."""
    if quantity == 0:
        return f"no {symbol}"
    return f"{'LONG' if quantity > 0 else 'SHORT'} {abs(quantity)} {symbol}"
