"""Builds that tools are content with, but we are not."""

import pytest

from systolic_boards.devices import device
from systolic_boards.flow import guards
from systolic_boards.flow.guards import GuardError


@pytest.mark.parametrize("line, meaning", [
    ("Warning: Driver-driver conflict for \\p [3] between cell a.O and constant 1'0 in t: Resolved using constant.",
     "may have lost logic"),
    ("Warning: multiple conflicting drivers for t.\\x [0]:", "more than one driver"),
    ("ERROR: Latch inferred for signal `\\t.\\q' from process", "a latch was inferred"),
    ("Warning: found logic loop in module t:", "combinational loop"),
    ("ABC: Networks are NOT EQUIVALENT.  Time =     0.00 sec", "technology mapping changed the logic"),
])
def test_suspicious_logs(line, meaning):
    with pytest.raises(GuardError, match=meaning) as error:
        guards.check_log(f"all is well\n{line}\nfinished\n")
    assert line in str(error.value)
    guards.check_log("Generating RTLIL representation for module `\\$_DLATCH_N_'.\n")


def test_lost_multiplier():
    guards.check_cells({"SB_MAC16": 4, "SB_LUT4": 9}, {"SB_MAC16": 4})
    guards.check_cells({"SB_LUT4": 9}, {"MULT18X18D": 0})
    with pytest.raises(GuardError, match="^4 SB_MAC16 planned, but the netlist has 3$"):
        guards.check_cells({"SB_MAC16": 3}, {"SB_MAC16": 4})


def test_too_large_for_the_device():
    guards.check_fit({"MULT18X18D": 28}, device("ecp5-25f"))
    with pytest.raises(GuardError, match="^ecp5-25f has 28 DSP, the design needs 29$"):
        guards.check_fit({"MULT18X18D": 29}, device("ecp5-25f"))


def test_slow_clock():
    report = {"fmax": {"a": {"achieved": 50.0, "constraint": 48.0}, "b": {"achieved": 11.9, "constraint": 12.0}}}
    with pytest.raises(GuardError, match="^clock b reaches 11.9 MHz, the board's is 12.0 MHz$"):
        guards.check_clocks(report, 48)
    guards.check_clocks({"fmax": {"a": report["fmax"]["a"]}}, 48)


@pytest.mark.parametrize("clocks, asked", [({}, "0.0"), ({"a": {"achieved": 50.0, "constraint": 12.0}}, "12.0")])
def test_clock_that_was_not_asked_for(clocks, asked):
    with pytest.raises(GuardError, match=f"^the board's clock is 48.0 MHz, but the placer was asked for {asked} MHz$"):
        guards.check_clocks({"fmax": clocks}, 48)
