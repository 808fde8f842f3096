"""How many bytes lie unread or unacknowledged between two ends of a loopback connection.

Asked of the kernel with one netlink lookup (sock_diag(7)), which takes microseconds; reading
/proc/net/tcp walks every bucket of the kernel's table, which took 3.4 ms a time when measured.
/proc is the way where the lookup is refused.
"""

import contextlib
import errno
import functools
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
HEADER = struct.Struct("=IHHII")
# inet_diag_req_v2: family, protocol, extensions, padding, states; then the socket's id, whose
# ports and addresses are in network order, and a cookie of all ones for "any".
REQUEST = struct.Struct("=BBBBI2s2s16s16sIII")
# inet_diag_msg after its first four bytes and the id: expires, receive queue, send queue.
QUEUES = struct.Struct("=III")
QUEUES_AT = HEADER.size + 4 + 48
STATE_AT = HEADER.size + 1
LISTENING = 10
# Attributes follow; the one that is asked for holds a tcp_info, whose counters of bytes are exact.
ATTRIBUTES_AT = QUEUES_AT + 20
ATTRIBUTE = struct.Struct("=HH")
INET_DIAG_INFO = 2
BYTES_RECEIVED_AT, NOT_SENT_AT, BYTES_SENT_AT = 128, 144, 200
COUNT, COUNTS, LITTLE_COUNT = struct.Struct("=Q"), struct.Struct("=QQ"), struct.Struct("=I")
ANSWER_BYTES = 4096
LOOPBACK = socket.inet_aton("127.0.0.1").ljust(16, b"\0")
ANY = 0xFFFFFFFF
ESTABLISHED = "01"


class End(NamedTuple):
    """What the kernel knows of one end of a connection, in bytes.

    Attributes:
        unread: received, and not read by the program.
        unacknowledged: sent, and not acknowledged. An acknowledgement may come 40 ms after the
            bytes, so these need not be under way.
        sent: handed to the connection since it was made, None where the kernel does not tell.
        received: taken from it since it was made, read or not; None with `sent`.
    """

    unread: int
    unacknowledged: int
    sent: int | None
    received: int | None


class LoopbackQueues:
    """Looks up the queues of connections on 127.0.0.1; close it after use."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
                # A lookup is answered within its request; this is for a kernel that is broken.
                self._netlink.setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0)
                )

    def close(self) -> None:
        """Let go of the kernel."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def bytes_between(self, client_port: int, server_port: int) -> int:
        """Bytes under way in both directions of one connection; 0 when it does not exist."""
        ends = self._ends(client_port, server_port)
        if ends is None:
            return from_proc(client_port, server_port)
        client, server = ends
        return under_way(client, server) + under_way(server, client)

    def unread_by_server(self, client_port: int, server_port: int) -> int:
        """Bytes that the client has sent and the server has not read; 0 when it is gone."""
        ends = self._ends(client_port, server_port)
        if ends is None:
            return from_proc(client_port, server_port, ends=((server_port, client_port),))
        return under_way(*ends)

    def _ends(self, client_port: int, server_port: int) -> tuple[End | None, End | None] | None:
        """Both ends of a connection, None where the kernel does not answer."""
        if self._netlink is None:
            return None
        try:
            there = lookup(self._netlink, client_port, server_port)
            return there, lookup(self._netlink, server_port, client_port)
        except (PermissionError, TimeoutError, BlockingIOError):
            self.close()
            return None


def under_way(sender: End | None, receiver: End | None) -> int:
    """Bytes on the way from one end to the program at the other."""
    unread = 0 if receiver is None else receiver.unread
    if sender is None:
        return unread
    if receiver is None or sender.sent is None or receiver.received is None:
        return unread + sender.unacknowledged
    return unread + max(0, sender.sent - receiver.received)


def lookup(netlink: socket.socket, local_port: int, remote_port: int) -> End | None:
    """Ask the kernel for one end of a connection on 127.0.0.1; None when it does not exist.

    Raises:
        PermissionError: the kernel refuses.
        BlockingIOError: it does not answer.
    """
    netlink.send(request_for(local_port, remote_port))
    answer = netlink.recv(ANSWER_BYTES)
    size, kind = HEADER.unpack_from(answer)[:2]
    if kind == NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", answer, HEADER.size)
        if -code == errno.ENOENT:
            return None
        raise PermissionError(-code, "the kernel refuses sock_diag")
    if answer[STATE_AT] == LISTENING:
        return None  # It is what the kernel finds where there is no connection.
    _expires, unread, unacknowledged = QUEUES.unpack_from(answer, QUEUES_AT)
    sent: int | None = None
    received: int | None = None
    place = ATTRIBUTES_AT
    while place < size:
        length, name = ATTRIBUTE.unpack_from(answer, place)
        if name == INET_DIAG_INFO and length >= ATTRIBUTE.size + BYTES_SENT_AT + 16:
            info = place + ATTRIBUTE.size
            (received,) = COUNT.unpack_from(answer, info + BYTES_RECEIVED_AT)
            (waiting,) = LITTLE_COUNT.unpack_from(answer, info + NOT_SENT_AT)
            first, again = COUNTS.unpack_from(answer, info + BYTES_SENT_AT)
            sent = first - again + waiting
        place += (length + 3) & ~3
    return End(unread, unacknowledged, sent, received)


@functools.lru_cache(maxsize=64)
def request_for(local_port: int, remote_port: int) -> bytes:
    """The question for one end of a connection on 127.0.0.1."""
    request = REQUEST.pack(
        socket.AF_INET,
        socket.IPPROTO_TCP,
        1 << (INET_DIAG_INFO - 1),
        0,
        ANY,
        local_port.to_bytes(2, "big"),
        remote_port.to_bytes(2, "big"),
        LOOPBACK,
        LOOPBACK,
        0,
        ANY,
        ANY,
    )
    size = HEADER.size + len(request)
    return HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0) + request


def from_proc(
    client_port: int, server_port: int, *, ends: tuple[tuple[int, int], ...] | None = None
) -> int:
    """The same from /proc/net/tcp and /proc/net/tcp6, at both ends or at those given."""
    ends = ends or ((client_port, server_port), (server_port, client_port))
    total = 0
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HarnessError(f"cannot read /proc/net/{name}: {error.strerror}") from error
        for line in lines:
            fields = line.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            if (local, remote) in ends and fields[3] == ESTABLISHED:
                sending, unread = fields[4].split(":")
                total += int(sending, 16) + int(unread, 16)
    return total
