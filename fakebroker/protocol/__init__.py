"""The TWS wire protocol without I/O: bytes in, typed requests out; typed replies in, bytes out."""

from fakebroker.protocol.connection import (
    Connection,
    ConnectionState,
    Event,
    ProtocolFailed,
    UnknownRequest,
    VersionOffered,
)
from fakebroker.protocol.describe import describe
from fakebroker.protocol.encode_replies import encode
from fakebroker.protocol.errors import ErrorCode, text
from fakebroker.protocol.framing import FrameReader, ProtocolError, frame
from fakebroker.protocol.replies import Reply
from fakebroker.protocol.requests import Request

__all__ = [
    "Connection",
    "ConnectionState",
    "ErrorCode",
    "Event",
    "FrameReader",
    "ProtocolError",
    "ProtocolFailed",
    "Reply",
    "Request",
    "UnknownRequest",
    "VersionOffered",
    "describe",
    "encode",
    "frame",
    "text",
]
