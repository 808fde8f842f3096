import json
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.history.writer import HistoryWriter, read_belief
from tests.unit.harness.stories import OPEN


def journal_line(kind: str, **fields: object) -> str:
    return json.dumps({"seq": 1, "time": OPEN.isoformat(), "kind": kind, **fields}) + "\n"


def kinds(path: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in path.read_text().splitlines()]


def test_own_events_stand_after_what_the_broker_wrote_before_them(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text(journal_line("bar"))
    with HistoryWriter(tmp_path / "history.jsonl", journal) as writer:
        writer.note("ready", OPEN, life=1)
        with journal.open("a") as more:
            more.write(journal_line("fill"))
        writer.note("ended", OPEN)
    lines = [json.loads(line) for line in writer.path.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["bar", "ready", "fill", "ended"]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert [line["source"] for line in lines] == ["broker", "harness", "broker", "harness"]


def test_a_death_stands_before_the_lost_connection(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    gone = journal_line("session", event="disconnected")
    journal.write_text(journal_line("received") + gone + journal_line("order"))
    with HistoryWriter(tmp_path / "history.jsonl", journal) as writer:
        writer.note_death("killed", OPEN, life=1)
    assert kinds(writer.path) == ["received", "killed", "session", "order"]


def test_a_half_written_journal_line_waits_for_its_rest(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    line = journal_line("bar")
    journal.write_text(line[:20])
    with HistoryWriter(tmp_path / "history.jsonl", journal) as writer:
        writer.drain()
        assert kinds(writer.path) == []
        with journal.open("a") as more:
            more.write(line[20:])
        writer.drain()
        assert kinds(writer.path) == ["bar"]


def test_what_is_written_is_on_disk_at_once(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.touch()
    with HistoryWriter(tmp_path / "history.jsonl", journal) as writer:
        writer.note("launched", OPEN, life=1)
        assert kinds(writer.path) == ["launched"]


@pytest.mark.parametrize("text", ["", "no", "[]", '{"positions": {"TSLA": {}}}'])
def test_what_is_no_belief_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match="printed no belief"):
        read_belief(text)


def test_a_belief_keeps_fields_that_we_do_not_know() -> None:
    assert read_belief('{"positions": {}, "mood": "calm"}') == {"positions": {}, "mood": "calm"}
