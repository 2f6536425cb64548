"""Finished steps are found again, unfinished ones are not."""

import pytest

from systolic_boards.flow.store import Step


def test_kept_by_content(tmp_path):
    step = Step(tmp_path, "place", "netlist", "--seed 1")
    assert step.load() is None
    files = step.save({"report": "{}", "bitstream": b"\x00\xff"})
    assert files == {"report": b"{}", "bitstream": b"\x00\xff"} == Step(tmp_path, "place", "netlist", "--seed 1").load()
    for other in (("place", "netlist", "--seed 2"), ("place", "netlist--seed 1"), ("synthesis", "netlist", "--seed 1")):
        assert Step(tmp_path, *other).load() is None


def test_interrupted_save_leaves_nothing(tmp_path):
    step = Step(tmp_path, "place", "netlist")
    with pytest.raises(TypeError):
        step.save({"report": "{}", "floor": 3})
    assert step.load() is None and not list(step.path.parent.iterdir())


def test_damaged_file_is_done_again(tmp_path):
    step = Step(tmp_path, "place", "netlist")
    step.save({"report": "{}"})
    step.path.write_bytes(step.path.read_bytes()[:20])
    assert step.load() is None
