"""The broker's books and the market that orders meet: pure, exact, knows no bytes.

`exchange.py` is the way in and reads like the table of contents; `turn.py` is what happens.
"""
