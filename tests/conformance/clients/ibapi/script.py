"""The conformance script on ibapi 9.81.1, as it comes from PyPI."""

from conformance.official import Script
from conformance.official_app import App
from conformance.reporting import read_port, run_steps


def cancel(app: App, order_id: int) -> None:
    """Cancel an order; this version asks for nothing but its id."""
    app.cancelOrder(order_id)


def cancel_all(app: App) -> None:
    """Cancel every order of every client."""
    app.reqGlobalCancel()


if __name__ == "__main__":
    script = Script(read_port(), cancel=cancel, cancel_all=cancel_all)
    run_steps(script.steps())
    script.close()
