"""Fixtures for the generator's tests."""

import pytest
from amaranth.sim import Simulator


@pytest.fixture
def simulate():
    """Function that runs testbenches on a component, in Amaranth's own simulator."""
    def run(dut, *testbenches, clocked=True):
        simulator = Simulator(dut)
        if clocked:
            simulator.add_clock(1e-6)
        for testbench in testbenches:
            simulator.add_testbench(testbench)
        simulator.run()
    return run
