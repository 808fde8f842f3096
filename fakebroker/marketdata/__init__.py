"""What the API can be told about the market, as far as it has been played."""
