"""The outermost layer of the wire: four bytes of big-endian length, then the payload.

The reader cuts a byte stream, whatever the chunks it comes in, into payloads. It holds at most one
unfinished frame and refuses one that announces more than the limit, so a client that lies about a
length costs no memory. It does not look into payloads.
"""

from typing import Final

LENGTH_BYTES: Final = 4
# The largest real message, an order with many conditions, stays far below this.
FRAME_LIMIT: Final = 1024 * 1024


class ProtocolError(Exception):
    """What the client sent is not the protocol; the text says what, with the value."""


class FrameTooLongError(ProtocolError):
    """A frame announced more than the limit; `payloads` came whole before it."""

    def __init__(self, reason: str, payloads: list[bytes]) -> None:
        super().__init__(reason)
        self.payloads = payloads


def frame(payload: bytes) -> bytes:
    """Return the payload with its length in front."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class FrameReader:
    """Cuts a byte stream into payloads."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads that they complete, in order.

        Raises:
            FrameTooLongError: A frame announces more than the limit. Nothing can follow: where
                the next frame would begin is unknown.
        """
        self._buffer += data
        payloads: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= LENGTH_BYTES:
            body = start + LENGTH_BYTES
            length = int.from_bytes(self._buffer[start:body], "big")
            if length > self._limit:
                self._buffer.clear()
                reason = f"a frame announces {length} bytes, the limit is {self._limit}"
                raise FrameTooLongError(reason, payloads)
            if len(self._buffer) < body + length:
                break
            payloads.append(bytes(self._buffer[body : body + length]))
            start = body + length
        del self._buffer[:start]
        return payloads
