"""ib_insync, imported in the one way that works on every Python.

eventkit, below ib_insync, asks for the current event loop while it is imported; from Python
3.14 on there is none unless somebody has set one. So a loop is set for the import and taken
away again. Everything else takes ib_insync's names from here.
"""

import asyncio

import_loop = asyncio.new_event_loop()
asyncio.set_event_loop(import_loop)

import ib_insync  # noqa: E402 - only after the loop is set, see above

asyncio.set_event_loop(None)
import_loop.close()

IB = ib_insync.IB
CommissionReport = ib_insync.CommissionReport
Contract = ib_insync.Contract
Fill = ib_insync.Fill
Order = ib_insync.Order
RealTimeBar = ib_insync.RealTimeBar
RealTimeBarList = ib_insync.RealTimeBarList
Stock = ib_insync.Stock
Trade = ib_insync.Trade
IbPosition = ib_insync.Position
