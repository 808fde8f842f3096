"""docs/requirements.md names code, tests and scenarios that exist, and leaves nothing open."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"
COLUMNS = "| id | requirement | where | module | test | scenario | status |"
ROWS_AT_LEAST = {
    "breakout-state-management.md": 58,
    "state-persistence-and-reconnection.md": 62,
    "state-persistence-deterministic-recovery.md": 82,
    "state-recovery-needed.md": 101,
    "state-save-restore-story.md": 129,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the page's tables."""

    document: str
    number: str
    words: str
    where: str
    module: str
    test: str
    scenario: str
    status: str


def read_rows(text: str) -> list[Row]:
    """Take every table of requirements apart; a line that is no whole row is refused."""
    rows, document, inside = [], "", False
    for line in text.splitlines():
        if line.startswith("## "):
            document, inside = line.removeprefix("## "), False
        elif line == COLUMNS:
            inside = True
        elif inside and line.startswith("|") and not line.startswith("| ---"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 7, f"not seven cells: {line}"
            rows.append(Row(document, *cells))
    return rows


TEXT = PAGE.read_text(encoding="utf-8")
ROWS = read_rows(TEXT)


@cache
def names_in(path: Path) -> frozenset[str]:
    """Every name that a module defines at its top, and `Class.name` of what its classes hold."""
    return frozenset(
        name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        for own in names_of(node)
        for name in (own, *(f"{own}.{inner}" for inner in members_of(node)))
    )


def members_of(node: ast.stmt) -> list[str]:
    """The names that a class holds; nothing of anything else."""
    if not isinstance(node, ast.ClassDef):
        return []
    return [name for member in node.body for name in names_of(member)]


def names_of(node: ast.stmt) -> list[str]:
    """The names that a statement binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case _:
            return []


def modules_of(row: Row) -> list[tuple[str, str]]:
    """The files of a row's module column, each with the name in it (empty for the whole file)."""
    parts = [
        re.fullmatch(r"`([\w./]+)`(?: `([\w.]+)`)?", part) for part in row.module.split("<br>")
    ]
    assert all(parts), f"{row.number}: module {row.module}"
    return [(part[1], part[2] or "") for part in parts if part]


def written_tests(row: Row) -> list[tuple[str, str]]:
    """The files and functions of a row's test column; what is only planned is left out."""
    written = [part for part in row.test.split("<br>") if not part.startswith("planned: ")]
    parts = [re.fullmatch(r"`([\w./]+)::(\w+)`", part) for part in written]
    assert all(parts), f"{row.number}: test {row.test}"
    return [(part[1], part[2]) for part in parts if part]


def lacks(path: str, name: str) -> bool:
    """Tell whether a file, or a name in it, does not exist."""
    return not (ROOT / path).is_file() or (name != "" and name not in names_in(ROOT / path))


@pytest.mark.parametrize("document", sorted(ROWS_AT_LEAST))
def test_no_requirement_of_a_document_has_been_dropped(document: str) -> None:
    count = sum(row.document == document for row in ROWS)
    assert count >= ROWS_AT_LEAST[document]
    assert f"{count} rows." in TEXT.split(f"\n## {document}\n")[1].split("\n## ")[0]


def test_every_row_has_an_id_of_its_own_and_says_what_and_where() -> None:
    assert len({row.number for row in ROWS}) == len(ROWS)
    assert [row.number for row in ROWS if not (row.words and row.where)] == []
    strange = [row.number for row in ROWS if not re.fullmatch(r"[BPDNS]-\d{3}", row.number)]
    assert strange == []


def test_every_module_and_attribute_of_the_table_exists() -> None:
    missing = [
        f"{row.number} {path} {name}"
        for row in ROWS
        for path, name in modules_of(row)
        if lacks(path, name)
    ]
    assert missing == []


def test_every_test_of_the_table_exists() -> None:
    missing = [
        f"{row.number} {path}::{name}"
        for row in ROWS
        for path, name in written_tests(row)
        if not name.startswith("test_") or lacks(path, name)
    ]
    assert missing == []


def test_no_row_is_without_a_test() -> None:
    assert [row.number for row in ROWS if not written_tests(row)] == []


def test_every_scenario_exists_or_is_excused_with_a_reason() -> None:
    wrong = []
    for row in ROWS:
        named = re.fullmatch(r"`(scenarios/test_\w+\.py)`", row.scenario)
        excused = re.fullmatch(r"- \(.{8,}\)", row.scenario)
        if not (excused or (named and (ROOT / named[1]).is_file())):
            wrong.append(f"{row.number} {row.scenario}")
    assert wrong == []


def test_no_row_is_open() -> None:
    unfinished = [
        f"{row.number} {row.words}"
        for row in ROWS
        if row.status != "done" or "planned: " in row.test
    ]
    assert unfinished == []


def test_a_broken_row_is_noticed() -> None:
    row = Row("d", "S-001", "w", "h", "`README.md` `absent`", "planned: one", "-", "done")
    assert written_tests(row) == []
    assert lacks("no/such/file.py", "")
    assert lacks("target_trader/settings.py", "Rules.absent")
    assert not lacks("target_trader/settings.py", "Rules.quantity")
    with pytest.raises(AssertionError, match="not seven cells"):
        read_rows(f"## d\n{COLUMNS}\n| one | two |\n")
