"""Text between markers changes, all else stays."""

import re
from pathlib import Path

import pytest

from systolic.errors import UserError
from systolic_boards.pages.refill import refill

PAGE = "# Title\n\nby <!-- tools -->old 1.0<!-- /tools -->\n\n<!-- table -->\n| old |\n<!-- /table -->\n\nend\n"


def test_refills():
    page = refill(PAGE, {"tools": "new 2.0", "table": "| a |\n| \\1 |\n"})
    assert page == PAGE.replace("old 1.0", "new 2.0").replace("| old |", "| a |\n| \\1 |")
    assert refill(page, {"tools": "old 1.0", "table": "| old |"}) == PAGE


def test_an_empty_block_is_filled_and_emptied():
    page = "<!-- table -->\n<!-- /table -->\n"
    filled = refill(page, {"table": "| a |\n"})
    assert filled == "<!-- table -->\n| a |\n<!-- /table -->\n"
    assert refill(refill(filled, {"table": ""}), {"table": "| a |"}) == filled


@pytest.mark.parametrize("page, count", [("# Title", 0), (PAGE + PAGE, 2), ("<!-- tools --> <!-- /table -->", 0)])
def test_needs_its_markers(page, count):
    with pytest.raises(UserError, match=f"must have one block <!-- tools --> ... <!-- /tools -->, not {count}"):
        refill(page, {"tools": "x"})


@pytest.mark.parametrize("name", ["boards.md", "fpga.md"])
def test_markers_of_the_pages_are_pairs(name):
    text = (Path(__file__).parents[3] / "docs" / name).read_text()
    begun, ended = re.findall(r"<!-- (\w+) -->", text), re.findall(r"<!-- /(\w+) -->", text)
    assert begun == ended and len(set(begun)) == len(begun) >= 4
