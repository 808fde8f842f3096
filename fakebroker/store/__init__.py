"""The books on disk: SQLAlchemy 2 on SQLite, in a folder that only its owner can enter."""

from fakebroker.store.store import Store, StoreError

__all__ = ["Store", "StoreError"]
