import json
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.history import History
from tests.unit.harness.stories import ENTRY, Story


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_history_reads_back_what_happened(tmp_path: Path) -> None:
    story = Story().case().start().bracket().killed().start().state(positions={}).end()
    history = History.read(written(tmp_path, story.text()))
    assert [fill.order_ref for fill in history.fills] == [ENTRY]
    assert [kill.point for kill in history.kills] == ["quiet after the 10:00:00 bar"]
    assert [life.number for life in history.lives] == [1, 2]
    assert history.lives[0].killed is not None
    assert history.lives[1].ready_seq is not None
    assert history.complete


def test_a_history_without_its_end_is_not_complete() -> None:
    assert not Story().case().start().history().complete


def test_a_line_that_was_cut_off_is_named(tmp_path: Path) -> None:
    text = Story().case().start().text()
    with pytest.raises(UserError, match=r"history.jsonl line 6 is damaged or cut off"):
        History.read(written(tmp_path, text[:-9]))


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    text = Story().case().text() + '{"seq": 2, "kind": "bar"}\n'
    with pytest.raises(UserError, match=r"line 2: time: Field required"):
        History.read(written(tmp_path, text))


def test_lines_out_of_order_are_named(tmp_path: Path) -> None:
    first, second = Story().case().launched().text().splitlines()
    with pytest.raises(UserError, match=r"line 2: seq 1 follows 2"):
        History.read(written(tmp_path, f"{second}\n{first}\n"))


def test_a_fill_without_its_price_is_named() -> None:
    story = Story().case().start().bracket()
    fill = next(line for line in story.lines if line["kind"] == "fill")
    del fill["price"]
    with pytest.raises(UserError, match=rf"event {fill['seq']} \(fill\): price"):
        assert story.history().fills


def test_a_line_that_was_read_before_is_the_same_at_another_place(tmp_path: Path) -> None:
    lines = Story().case().launched().bar().bar().end().lines
    moved = [{**line, "seq": number} for number, line in enumerate(lines, start=7)]
    texts = [
        "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in told)
        for told in (lines, moved)
    ]
    for number, told in enumerate((lines, moved, lines)):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(texts[number % 2], encoding="utf-8")
        assert History.read(path).events == History.of(told).events


def test_of_two_numbers_in_a_line_the_last_one_counts_whatever_was_read_before(
    tmp_path: Path,
) -> None:
    twice = '{"seq":1,"time":"2025-10-06T10:00:00-04:00","source":"bot","kind":"x","seq":5}\n'
    for _ in range(2):
        assert [event.seq for event in History.read(written(tmp_path, twice)).events] == [5]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\xff\xfe\x00", "not UTF-8"), (b"[1]\n", "line 1 is not an object")],
)
def test_what_is_no_history_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        History.read(path)


def test_a_missing_history_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.jsonl: No such file"):
        History.read(tmp_path / "nowhere.jsonl")


def test_the_events_between_two_places_are_without_these_two() -> None:
    history = Story().case().start().bar().end().history()
    first, last = history.events[0].seq, history.events[-1].seq
    assert history.between(first, last) == history.events[1:-1]
    assert history.between(last, first) == ()
    assert history.between(0, last + 1) == history.events


def test_a_question_is_asked_once() -> None:
    asked: list[History] = []

    def count(history: History) -> int:
        asked.append(history)
        return len(history.events)

    history, other = Story().case().history(), Story().case().start().history()
    assert [history.once(count), history.once(count), other.once(count)] == [1, 1, 6]
    assert asked == [history, other]


def test_the_messages_of_a_kind_are_those_of_both_directions() -> None:
    history = Story().case().start().received("cancelOrder", order_id=3).history()
    assert [each.order_id for each in history.messages_of("cancelOrder")] == [3]
    for kind in {each.message for each in history.messages}:
        alike = tuple(each for each in history.messages if each.message == kind)
        assert history.messages_of(kind) == alike
    assert history.messages_of("placeOrder") == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [("session", "one"), ("fields", []), ("client_id", "x"), ("occurrence", 1.5), ("message", 7)],
)
def test_a_damaged_message_is_named_whichever_is_asked_for(field: str, value: object) -> None:
    story = Story().case().start().received("cancelOrder")
    story.lines[2][field] = value
    with pytest.raises(UserError, match=rf"event 3 \(sent\): {field}"):
        story.history().messages_of("cancelOrder")


def test_a_number_in_quotes_is_read_as_the_number() -> None:
    story = Story().case().start()
    story.lines[2]["session"] = "17"
    assert story.history().sent("openOrderEnd")[0].session == int("17")


def test_text_that_is_half_a_character_is_read(tmp_path: Path) -> None:
    text = Story().case().text() + json.dumps({**Story().case().lines[0], "seq": 2, "x": "\ud800"})
    assert History.read(written(tmp_path, text)).events[1].data["x"] == "\ud800"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_only_a_newline_ends_a_line(tmp_path: Path, separator: str) -> None:
    head = '{"seq":1,"time":"2025-10-06T10:00:00-04:00","source":"bot","kind":"state"'
    line = f'{head},"belief":"a{separator}b"}}'
    history = History.read(written(tmp_path, line + "\n"))
    assert [event.data["belief"] for event in history.events] == [f"a{separator}b"]
