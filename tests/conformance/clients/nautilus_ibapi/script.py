"""The conformance script on nautilus-ibapi 10.46."""

from conformance.official import Script
from conformance.official_app import App
from conformance.reporting import read_port, run_steps
from ibapi.order_cancel import OrderCancel


def cancel(app: App, order_id: int) -> None:
    """Cancel an order; this version wants a description of the cancel."""
    app.cancelOrder(order_id, OrderCancel())


def cancel_all(app: App) -> None:
    """Cancel every order of every client."""
    app.reqGlobalCancel(OrderCancel())


if __name__ == "__main__":
    script = Script(read_port(), cancel=cancel, cancel_all=cancel_all)
    run_steps(script.steps())
    script.close()
