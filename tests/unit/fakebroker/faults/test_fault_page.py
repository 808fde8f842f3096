"""docs/faults.md lists exactly the faults there are, and its examples are faults."""

import re
import tomllib
from pathlib import Path
from typing import get_args

from fakebroker.faults import KINDS, parse_faults
from fakebroker.faults.messages import REPLIES, REQUESTS
from fakebroker.protocol.replies import Reply
from fakebroker.protocol.requests import Request

PAGE = Path(__file__).parents[4] / "docs" / "faults.md"
COMMON = {"name", "when", "client_id"}


def rows() -> dict[str, list[str]]:
    """Return the cells of the catalogue's table by the name in the first one."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            found[cells[0].strip("`")] = cells
    return found


def test_the_page_lists_every_fault_and_no_other() -> None:
    assert set(rows()) == set(KINDS)


def test_the_page_names_the_parameters_of_every_fault() -> None:
    for name, cells in rows().items():
        named = set(re.findall(r"`(\w+)` \(", cells[3])) - COMMON
        assert named == set(KINDS[name].model_fields) - COMMON, name


def test_the_page_says_where_every_fault_was_seen() -> None:
    assert {name: cells[1] for name, cells in rows().items()} == {
        name: kind.SEEN for name, kind in KINDS.items()
    }


def test_every_rank_of_the_field_list_has_a_fault() -> None:
    seen = {kind.SEEN for kind in KINDS.values()}
    assert {f"{list_} {rank}" for list_ in ("top", "next") for rank in range(1, 11)} <= seen


def test_every_fault_has_one_example_that_can_be_armed() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = [tomllib.loads(block)["fault"][0]["name"] for block in blocks]
    assert sorted(names) == sorted(KINDS)
    faults = [parse_faults(block, name="example")[0] for block in blocks]
    assert [fault.name for fault in faults] == names


def test_the_names_of_messages_are_those_of_the_protocol() -> None:
    assert {kind.MESSAGE for kind in get_args(Request)} == REQUESTS
    assert {kind.MESSAGE for kind in get_args(Reply)} == REPLIES
