"""The reference bot: PS60 breakouts through Interactive Brokers, written to survive a crash.

It imports neither the fake broker nor the harness: change the port and it trades on a real
TWS paper account. Start reading at `trader.py`; what is remembered is in `state/`, what is
believed after a restart is decided in `reconcile.py`.
"""
