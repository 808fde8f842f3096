import pytest

from fakebroker.protocol.framing import FrameReader, FrameTooLongError, frame


def test_a_frame_is_a_big_endian_length_and_the_payload() -> None:
    assert frame(b"9\0001\0005\0") == b"\x00\x00\x00\x06" + b"9\0001\0005\0"


def test_a_payload_comes_out_when_its_last_byte_is_in() -> None:
    reader = FrameReader()
    data = frame(b"hello")
    assert reader.feed(data[:-1]) == []
    assert reader.feed(data[-1:]) == [b"hello"]
    assert reader.buffered == 0


def test_many_payloads_come_out_of_one_chunk_and_the_rest_waits() -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"a") + frame(b"") + frame(b"bc")[:5]) == [b"a", b""]
    assert reader.buffered == 5
    assert reader.feed(b"c") == [b"bc"]


def test_a_frame_of_exactly_the_limit_passes() -> None:
    assert FrameReader(limit=3).feed(frame(b"abc")) == [b"abc"]


def test_a_longer_frame_is_refused_before_it_has_come_and_loses_nothing_before_it() -> None:
    reader = FrameReader(limit=3)
    with pytest.raises(FrameTooLongError, match="announces 4 bytes, the limit is 3") as caught:
        reader.feed(frame(b"abc") + b"\0\0\0\4")
    assert caught.value.payloads == [b"abc"]
    assert reader.buffered == 0
