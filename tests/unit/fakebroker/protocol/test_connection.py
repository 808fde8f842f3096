import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ib_insync.client import Client

from fakebroker.protocol import (
    Connection,
    ConnectionState,
    ProtocolFailed,
    UnknownRequest,
    VersionOffered,
    frame,
)
from fakebroker.protocol.connection import STATES
from fakebroker.protocol.fields import join_fields
from fakebroker.protocol.replies import ManagedAccounts, NextValidId
from fakebroker.protocol.requests import ReqCurrentTime, StartApi
from tests.unit.fakebroker.protocol.wire import opening, ready_connection

START_API = frame(b"71\0002\00011\0\0")
REQ_CURRENT_TIME = frame(b"49\0001\0")
SPRING = datetime(2025, 4, 15, 14, 38, 30, tzinfo=ZoneInfo("America/New_York"))


def offered(text: str) -> Connection:
    connection = Connection()
    events = connection.receive(b"API\0" + frame(text.encode()))
    assert isinstance(events[0], VersionOffered), events
    return connection


def failure(connection: Connection, data: bytes) -> str:
    """Feed bytes that must end the connection and return why they did."""
    event = connection.receive(data)[-1]
    assert isinstance(event, ProtocolFailed), event
    assert connection.state is ConnectionState.CLOSED
    return event.reason


def test_the_version_offer_may_come_in_the_same_segment_as_the_prefix() -> None:
    connection = Connection()
    events = connection.receive(b"API\0" + frame(b"v157..176"))
    assert events == [VersionOffered(157, 176)]
    assert connection.server_version == 176


def test_connect_options_after_the_versions_are_kept() -> None:
    connection = Connection()
    events = connection.receive(b"API\0" + frame(b"v100..157 +PACEAPI"))
    assert events == [VersionOffered(100, 157, "+PACEAPI")]


@pytest.mark.parametrize(
    ("offer", "version"),
    [
        ("v157..176", 176),  # ib_insync
        ("v157..178", 178),  # ib_async
        ("v100..157", 157),  # ibapi 9.81
        ("v100..225", 178),  # nautilus
        ("v100..193", 178),  # @stoqey/ib
        ("v176", 176),
        ("v100..158", 157),
        ("v100..163", 162),
    ],
)
def test_a_client_gets_the_highest_safe_version_of_both(offer: str, version: int) -> None:
    assert offered(offer).server_version == version


@pytest.mark.parametrize("offer", ["v100..156", "v179..225", "v158..158", "v163..163"])
def test_a_client_without_a_version_in_common_is_refused_with_the_numbers(offer: str) -> None:
    reason = failure(Connection(), b"API\0" + frame(offer.encode()))
    low, high = offer[1:].split("..")
    assert reason == f"the client speaks versions {low} to {high}, this broker 157 to 178"


def test_the_handshake_reply_is_the_version_and_the_time_with_the_zone() -> None:
    reply = offered("v157..176").handshake_reply(SPRING)
    assert reply == frame(b"176\x0020250415 14:38:30 EDT\0")


def test_a_connection_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        offered("v157..176").handshake_reply(SPRING.replace(tzinfo=None))


def test_requests_come_out_typed_after_start_api() -> None:
    connection = offered("v157..176")
    assert connection.receive(START_API + REQ_CURRENT_TIME) == [StartApi(11), ReqCurrentTime()]
    assert connection.state is ConnectionState.READY


def test_an_unknown_message_comes_out_with_its_fields_and_the_connection_lives() -> None:
    connection = ready_connection(176)
    assert connection.receive(frame(b"104\0007\0")) == [UnknownRequest(104, ("7",))]
    assert connection.receive(REQ_CURRENT_TIME) == [ReqCurrentTime()]


def test_a_connection_that_does_not_begin_with_the_prefix_is_closed() -> None:
    assert failure(Connection(), b"GET / HTTP/1.1\r\n") == (
        r"the connection begins with b'GET ', not b'API\x00'"
    )


@pytest.mark.parametrize("offer", [b"", b"176", b"v", b"v157..", b"v157..176\0", b"\xff"])
def test_a_version_offer_that_is_none_is_named(offer: bytes) -> None:
    assert "not like v157..176" in failure(Connection(), b"API\0" + frame(offer))


def test_a_request_before_start_api_closes_the_connection() -> None:
    reason = failure(offered("v157..176"), REQ_CURRENT_TIME)
    assert reason == "reqCurrentTime came while the connection was in AWAIT_START"


def test_an_unknown_message_before_start_api_closes_the_connection() -> None:
    reason = failure(offered("v157..176"), frame(b"104\0007\0"))
    assert reason == "message 104 came while the connection was in AWAIT_START"


def test_a_second_start_api_closes_the_connection() -> None:
    reason = failure(ready_connection(176), START_API)
    assert reason == "startApi came while the connection was in READY"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "a payload of 0 bytes does not end with NUL"),
        (b"49\0001", "a payload of 4 bytes does not end with NUL"),
        (b"\0", "a message begins with '', not with its id"),
        (b"hello\0", "a message begins with 'hello', not with its id"),
        (b"49\0\xff\0", "byte 0xff at 3 is not UTF-8 text"),
        (b"49\0", "reqCurrentTime ends before its field version"),
        (b"49\0001\0002\0", "reqCurrentTime has 1 fields too many: ['2']"),
        (b"4\0001\0x\0\0", "cancelOrder: the field orderId is 'x', not a whole number"),
        (b"15\0001\0yes\0", "reqAutoOpenOrders: the field autoBind is 'yes', not 0 or 1"),
    ],
)
def test_what_is_wrong_with_a_message_is_said_with_field_and_value(
    payload: bytes, reason: str
) -> None:
    assert failure(ready_connection(176), frame(payload)) == reason


def test_a_frame_above_the_limit_closes_the_connection_after_what_came_before_it() -> None:
    connection = Connection(frame_limit=100)
    connection.receive(opening(176))
    events = connection.receive(REQ_CURRENT_TIME + b"\0\0\0\x65")
    assert events == [
        ReqCurrentTime(),
        ProtocolFailed("a frame announces 101 bytes, the limit is 100"),
    ]


def test_requests_before_a_broken_one_come_out_and_those_after_it_do_not() -> None:
    connection = ready_connection(176)
    events = connection.receive(REQ_CURRENT_TIME + frame(b"x") + REQ_CURRENT_TIME)
    assert [type(event) for event in events] == [ReqCurrentTime, ProtocolFailed]
    assert connection.receive(REQ_CURRENT_TIME) == []


def test_the_table_of_states_lets_a_connection_only_move_towards_ready() -> None:
    order = list(ConnectionState)
    assert ConnectionState.CLOSED not in STATES.values()
    for (state, _), following in STATES.items():
        assert order.index(following) - order.index(state) == (
            0 if state is ConnectionState.READY else 1
        )


def test_ib_insync_becomes_ready_on_the_handshake_accounts_and_id() -> None:
    asyncio.run(connect_in_memory())


async def connect_in_memory() -> None:
    """Join the real client and a connection: each one's bytes are the other's input."""
    wrapper = SimpleNamespace(connectAck=lambda: None, priceSizeTick=None)
    client = Client(wrapper)
    outgoing: list[bytes] = []
    link: Any = client.conn
    link.sendMsg = outgoing.append
    asyncio.set_event_loop(asyncio.get_running_loop())
    connection = Connection()
    assert connection.receive(b"API\0" + frame(b"v157..176")) == [VersionOffered(157, 176)]
    client.clientId = 11
    client.connState = Client.CONNECTING
    client._onSocketHasData(connection.handshake_reply(datetime(2025, 10, 6, tzinfo=UTC)))
    assert connection.receive(outgoing.pop()) == [StartApi(11)]
    client._onSocketHasData(connection.send(ManagedAccounts(("DU1234567", "DU7654321"))))
    assert not client.isReady()
    client._onSocketHasData(connection.send(NextValidId(17)))
    assert client.isReady()
    assert client.serverVersion() == 176
    assert client.getAccounts() == ["DU1234567", "DU7654321"]
    assert client.getReqId() == 17


def test_text_that_is_not_ascii_leaves_escaped() -> None:
    assert join_fields(["Zürich", "\U0001f600", ""]) == b"Z\\u00fcrich\0\\ud83d\\ude00\0\0"


def test_a_field_with_a_nul_is_never_sent() -> None:
    with pytest.raises(ValueError, match="holds a NUL"):
        join_fields(["9", "1\x002"])
