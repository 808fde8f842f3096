"""What to trade: the breakout signal and the exits of a position; pure functions of records."""
