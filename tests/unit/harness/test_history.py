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
