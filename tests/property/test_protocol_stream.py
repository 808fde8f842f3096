"""Whatever bytes come, however they are cut: the same events, no surprise, no memory."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fakebroker.protocol import Connection, Event, FrameReader, ProtocolError, ProtocolFailed, frame
from fakebroker.protocol.connection import ConnectionState
from fakebroker.protocol.decode_requests import DECODERS, decode
from fakebroker.protocol.fields import UNSET_DOUBLE, UNSET_INTEGER
from tests.unit.fakebroker.protocol.wire import opening, ready_connection

LIMIT = 64
NOW = datetime(2025, 10, 6, 14, 0, tzinfo=UTC)

GOOD_FRAMES = [
    frame(b"49\0001\0"),
    frame(b"61\0001\0"),
    frame(b"4\0001\00017\0\0"),
    frame(b"104\0007\0"),
    frame(b"7\0003\0005\0000\0\0\0\0\0\0"),
]
BAD_FRAMES = [
    frame(b""),
    frame(b"49\0"),
    frame(b"49\0x\0"),
    b"\0\0\0\xff",
    frame(b"71\0002\0001\0\0"),
]
FIELD = st.one_of(
    st.sampled_from(["", "0", "1", "2", "-1", "1.5", "BAG", "LMT", UNSET_DOUBLE, UNSET_INTEGER]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the data in pieces, cut at these places."""
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def events_of(pieces: list[bytes]) -> list[Event]:
    connection = Connection(LIMIT)
    return [event for piece in pieces for event in connection.receive(piece)]


@given(
    frames=st.lists(st.sampled_from(GOOD_FRAMES * 3 + BAD_FRAMES), max_size=8),
    start=st.sampled_from([opening(176), opening(157), b"API\0", b"GET / HTTP/1.1", b""]),
    cuts=st.lists(st.integers(0, 1000), max_size=12),
)
def test_however_a_stream_is_cut_the_events_are_the_same(
    frames: list[bytes], start: bytes, cuts: list[int]
) -> None:
    data = start + b"".join(frames)
    assert events_of(cut(data, cuts)) == events_of([data])


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 1000), max_size=6))
def test_any_bytes_give_events_of_which_only_the_last_is_a_failure(
    data: bytes, cuts: list[int]
) -> None:
    for start in (b"", b"API\0", opening(176)):
        connection = Connection(LIMIT)
        pieces = cut(start + data, cuts)
        events = [event for piece in pieces for event in connection.receive(piece)]
        failures = [at for at, event in enumerate(events) if isinstance(event, ProtocolFailed)]
        assert not failures or failures == [len(events) - 1]
        assert (connection.state is ConnectionState.CLOSED) == bool(failures)


@given(pieces=st.lists(st.binary(max_size=100), max_size=10), limit=st.integers(0, 80))
def test_a_reader_raises_only_protocol_errors_and_holds_at_most_one_frame(
    pieces: list[bytes], limit: int
) -> None:
    reader = FrameReader(limit)
    for piece in pieces:
        try:
            payloads = reader.feed(piece)
        except ProtocolError:
            break
        assert all(len(payload) <= limit for payload in payloads)
        assert reader.buffered <= limit + 4


@given(payloads=st.lists(st.binary(max_size=50), max_size=6), cuts=st.lists(st.integers(0, 400)))
def test_payloads_come_out_of_frames_as_they_went_in(
    payloads: list[bytes], cuts: list[int]
) -> None:
    reader = FrameReader()
    data = b"".join(frame(payload) for payload in payloads)
    assert [out for piece in cut(data, cuts) for out in reader.feed(piece)] == payloads
    assert reader.buffered == 0


@given(
    message_id=st.sampled_from(sorted(DECODERS)),
    fields=st.lists(FIELD, max_size=130),
    server_version=st.integers(157, 178),
)
def test_any_fields_are_a_request_or_a_protocol_error_that_names_the_message(
    message_id: int, fields: list[str], server_version: int
) -> None:
    message, _ = DECODERS[message_id]
    try:
        request = decode(message_id, fields, server_version)
    except ProtocolError as error:
        named = str(error).startswith(message)
    else:
        named = request is not None and message == request.MESSAGE
    assert named


@given(low=st.integers(0, 300), high=st.integers(0, 300))
def test_a_negotiated_version_is_one_that_both_sides_speak(low: int, high: int) -> None:
    connection = Connection()
    (event,) = connection.receive(b"API\0" + frame(f"v{low}..{high}".encode()))
    if isinstance(event, ProtocolFailed):
        assert high < 157 or low > 178 or low > high or {158, 163}.issuperset({low, high})
        return
    version = connection.server_version
    assert version is not None
    assert max(157, low) <= version <= min(178, high)
    assert version not in {158, 163}
    assert connection.handshake_reply(NOW)[4:].startswith(f"{version}\0".encode())


@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=6))
def test_the_fields_of_an_unknown_message_arrive_as_they_were_sent(texts: list[str]) -> None:
    payload = "".join(f"{text}\0" for text in ["999", *texts]).encode()
    (event,) = ready_connection(176).receive(frame(payload))
    assert getattr(event, "fields", None) == tuple(texts)
