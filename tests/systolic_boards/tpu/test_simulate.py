"""A TPU on a board, in simulation at the pins: what runs there is what the emulator computes."""

from pathlib import Path

import numpy as np
import pytest

from systolic.compiler import Builder
from systolic.compiler.layout import Layout
from systolic.errors import UserError
from systolic.host import Driver
from systolic.host.serial import SerialLink
from systolic.runtime.links import open_link
from systolic.tpu_config import tpu_preset
from systolic_boards.board import BoardError
from systolic_boards.pages.tpu_boards import blocks
from systolic_boards.tpu.design import design, names
from systolic_boards.tpu.play import Played
from systolic_boards.tpu.simulate import line
from systolic_boards.tpu.units import UNITS

PAGE = Path(__file__).parents[3] / "docs/boards.md"


def test_a_program_at_the_pins():
    """Over PLL, reset and serial line of a board."""
    board = design("ulx3s_12f")
    layout = Layout.of(3, 5, 7)
    builder = Builder(board.config)
    builder.store(builder.load(builder.input("x", layout)), builder.output("y", layout))
    builder.end()
    image = builder.image()
    wire = line(board)
    link = SerialLink(wire, baud=wire.baud, pause=wire.pause)
    assert wire.baud == 3_000_000 and wire.now() < 1e-3
    driver = Driver(link, limit=1.0)
    assert driver.identify() == board.config.identity
    driver.load(image)
    x = np.random.default_rng(0).integers(-128, 128, (3, 5, 7), np.int8)
    driver.feed(image, x=x)
    outputs, outcomes = driver.execute(image)
    assert (outputs["y"] == x).all() and [each.error_code for each in outcomes] == [0] and link.repeats == 0


@pytest.mark.parametrize("name", names())
def test_boards(name):
    """Memory of whole bus words; a rate that the clock meets within 2 %; the TPU as its device implements it."""
    target = design(name)
    clock, divisor = target.board.clock.mhz * 1e6, round(target.board.clock.mhz * 1e6 / target.board.baud)
    assert target.memory_size % target.config.bus_bytes == 0 and abs(clock / divisor / target.board.baud - 1) < 0.02
    assert target.board.device.implement(UNITS[name].config) == target.config


@pytest.mark.parametrize("tpu, size, argument, message", [
    ("tpu_4x4", 10, "", "target must be board:NAME, of colorlight_5a75b, .*, not 'board'"),
    ("tpu_4x4", 10, "icebreaker", "board must be one of .* with --design tpu, not 'icebreaker'"),
    ("tpu_8x8", 10, "ulx3s_12f", "tpu must be tpu_4x4, which ulx3s_12f has, not tpu_8x8"),
    ("tpu_4x4", 1 << 20, "ulx3s_12f", "memory must be at most the 49152 bytes of ulx3s_12f, not 1048576"),
])
def test_bad_targets(tpu, size, argument, message):
    with pytest.raises(UserError, match=message):
        open_link(f"board:{argument}", tpu_preset(tpu), size)


def test_table():
    """One row a board, with as many cells as its head; what failed says why."""
    played = Played(wrong=0, total=10, digit=7, cycles=90_000)
    figures = {"resources": {name: {"used": 50, "available": 100} for name in ("LUT", "FF", "DSP", "BRAM")},
               "fmax_mhz": {"min": 40.1, "median": 41.2, "max": 43.3}, "bitstream_bytes": 104090, "played": played}
    board = design("ulx3s_12f")
    table = blocks([(board, figures), (board, {"error": "too slow", "played": played})])["tpus"]
    head, _, row, failed = table.splitlines()
    assert head.count("|") == row.count("|") == failed.count("|") == 14
    assert "| 3,000,000 | 50 of 100 | 50 of 100 | 50 of 100 | 50 of 100 | 75 | 40.1 / 41.2 / 43.3 | 104,090 |" in row
    assert row.endswith("| 0 of 10 | 1200 |") and "too slow" in failed
    assert "<!-- tpus -->" in PAGE.read_text()


def test_no_such_board():
    with pytest.raises(BoardError, match="did you mean ulx3s_12f"):
        design("ulx3s_12")
