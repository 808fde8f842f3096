"""An IB Gateway that is not there: real TWS wire protocol, books kept as a broker keeps them."""
