"""Launch a trading bot, kill it at an exact point, restart it, judge it by the broker's books."""
