"""Drivers on a link that plays a TPU: what they ask for, in which order, and how they fail."""

import asyncio
import inspect

import numpy as np
import pytest

from systolic import isa, registers
from systolic.compiler import Builder
from systolic.compiler.layout import Layout
from systolic.host import AsyncDriver, Driver, HostError, LinkError, RegisterError, WaitError, steps
from systolic.host.link import Wait
from systolic.tpu_config import IDENTITY, tpu_preset
from systolic_sim.emulator import Emulator, EmulatorError

TPU = tpu_preset("tpu_4x4")


def mask(name, field):
    return registers.register(name).field(field).mask


class Tpu:
    """Registers, memory and interrupt of a TPU that has finished before anyone can look.

    ``script`` are the causes of its interrupts, one wait after the other; without one, programs run on the emulator.
    """

    unit = "seconds"

    def __init__(self, size=65536, script=None):
        self.memory, self.emulator = np.zeros(size, np.uint8), None
        self.values = {each.address: 0 for each in registers.registers()}
        self.values[registers.address("ID")] = registers.register("ID").field("value").reset
        for name, value in tpu_preset("tpu_4x4").identity.items():
            register, field = IDENTITY[name]
            self.values[registers.address(register)] |= value << registers.register(register).field(field).low
        self.script, self.log, self.limits, self.silent, self.dead = script, [], [], (), False

    def at(self, name):
        return self.values[registers.address(name)]

    def put(self, name, value):
        self.values[registers.address(name)] = value

    def read32(self, address):
        if address in self.silent:
            raise LinkError("does not answer")
        return self.values[address]

    def write32(self, address, value):
        name = next(each.name for each in registers.registers() if each.address == address)
        self.log.append((name, value))
        if address in self.silent:
            raise LinkError("answers SLVERR")
        if name == "INTERRUPT_STATUS":
            self.values[address] &= ~value
        elif name == "CONTROL":
            self.control(value)
        else:
            self.values[address] = value

    def control(self, value):
        if value & mask("CONTROL", "start"):
            self.put("STATUS", mask("STATUS", "running"))
            if self.script is None:
                self.execute()
        if value & mask("CONTROL", "restart") and not self.dead:
            self.put("STATUS", mask("STATUS", "idle"))

    def execute(self):
        """By the emulator, which keeps its state from program to program."""
        self.emulator = self.emulator or Emulator(TPU, self.memory)
        cause = "halt"
        try:
            self.emulator.run_at(self.at("PROGRAM_ADDRESS"), self.at("PROGRAM_LENGTH"))
        except EmulatorError as error:
            cause = "error"
            self.put("ERROR_CODE", error.code | self.dead * mask("ERROR_CODE", "bus_dead"))
            self.put("ERROR_INDEX", error.index)
            self.put("STATUS", mask("STATUS", "stopped"))
        for name, value in self.emulator.counters.items():
            self.put(f"{name.upper()}_LO", value)
        self.raised(cause)

    def raised(self, *causes):
        self.put("INTERRUPT_STATUS", sum(mask("INTERRUPT_STATUS", cause) for cause in causes))

    def read(self, address, size):
        return self.memory[address:address + size].tobytes()

    def write(self, address, data):
        self.memory[address:address + len(data)] = np.frombuffer(data, np.uint8)

    def wait(self, limit):
        self.limits.append(limit)
        if self.script:
            self.raised(*self.script.pop(0))
        return bool(self.at("INTERRUPT_STATUS") & self.at("INTERRUPT_ENABLE"))


class AsyncTpu:
    """The same, to be awaited."""

    unit = "seconds"

    def __init__(self, tpu):
        self.tpu = tpu

    def __getattr__(self, name):
        async def answer(*args):
            await asyncio.sleep(0)
            return getattr(self.tpu, name)(*args)
        return answer


class Awaited:
    """An AsyncDriver whose methods are awaited by whoever calls them: so tests are for both."""

    def __init__(self, tpu, **options):
        self.driver = AsyncDriver(AsyncTpu(tpu), **options)

    def __getattr__(self, name):
        return lambda *args, **options: asyncio.run(self.call(name, args, options))

    async def call(self, name, args, options):
        return await getattr(self.driver, name)(*args, **options)


@pytest.fixture(params=[Driver, Awaited], ids=["at once", "awaited"])
def drive(request):
    """Makes a driver of a TPU."""
    return request.param


def copying():
    """An image of two programs: one brings a map into the buffer, with an interrupt, one brings it back."""
    builder = Builder(TPU)
    layout = Layout.of(3, 4, 5)
    x = builder.load(builder.input("x", layout))
    builder.emit("interrupt")
    builder.end()
    builder.store(x, builder.output("y", layout))
    builder.end()
    return builder.image(0x400)


def test_an_image(drive):
    """Written, run program after program, read back; other inputs need not the whole of it."""
    tpu, image = Tpu(), copying()
    driver, rng = drive(tpu), np.random.default_rng(0)
    first, second = rng.integers(-128, 128, (2, 3, 4, 5), np.int8)
    driver.load(image, x=first)
    outputs, outcomes = driver.execute(image)
    np.testing.assert_array_equal(outputs["y"], first)
    assert [outcome.halted for outcome in outcomes] == [True, True]
    assert [outcome.counters["instructions"] for outcome in outcomes] == [len(program) for program in image.programs]
    driver.feed(image, x=second)
    np.testing.assert_array_equal(driver.execute(image)[0]["y"], second)


def test_a_run_step_by_step(drive):
    """Every register before the doorbell; interrupts cleared as they are heard."""
    tpu = Tpu(script=[("program",), ("program", "halt")])
    tpu.put("INTERRUPT_STATUS", mask("INTERRUPT_STATUS", "error"))
    tpu.put("CYCLES_LO", 0xFFFFFFFF)
    tpu.put("CYCLES_HI", 3)
    outcome = drive(tpu, limit=7).run(0x1240, 5, watchdog=99)
    every = sum(mask("INTERRUPT_STATUS", cause) for cause in ("program", "halt", "error"))
    assert tpu.log == [
        ("PROGRAM_ADDRESS", 0x1240), ("PROGRAM_LENGTH", 5), ("WATCHDOG", 99), ("INTERRUPT_STATUS", every),
        ("INTERRUPT_ENABLE", every), ("CONTROL", mask("CONTROL", "start")),
        ("INTERRUPT_STATUS", mask("INTERRUPT_STATUS", "program")),
        ("INTERRUPT_STATUS", mask("INTERRUPT_STATUS", "program") | mask("INTERRUPT_STATUS", "halt"))]
    assert outcome.halted and outcome.interrupts == 2 and outcome.error is None and outcome.check() is outcome
    assert outcome.counters["cycles"] == (3 << 32) + 0xFFFFFFFF
    assert set(outcome.counters) == {name.lower() for name in registers.counters()}
    assert tpu.limits == [7, 7]
    drive(Tpu(script=[("halt",)])).run(0, 1)


def test_the_limit(drive):
    """A call's own, else the driver's, else one that fits the unit."""
    for options, call, expected in (({}, {}, 60), ({"limit": 5}, {}, 5), ({"limit": 5}, {"limit": 2.5}, 2.5)):
        tpu = Tpu(script=[("halt",)])
        drive(tpu, **options).run(0, 1, **call)
        assert tpu.limits == [expected]


def test_a_program_that_ends_in_an_error(drive):
    tpu = Tpu()
    tpu.write(0, isa.encode([isa.operation("nop"), isa.operation("load_table", from_base=1 << 20)]))
    driver = drive(tpu)
    outcome = driver.run(0, 2)
    assert (outcome.halted, outcome.error, outcome.error_index) == (False, isa.ErrorCode.BUFFER, 1)
    assert not outcome.bus_dead
    assert outcome.error_code == isa.ErrorCode.BUFFER
    with pytest.raises(HostError, match=r"stopped at instruction 1: a region is not inside .* \(error 4\)"):
        outcome.check()
    driver.restart()
    assert tpu.log[-1] == ("CONTROL", mask("CONTROL", "restart"))
    assert driver.read_fields("STATUS") == {"idle": 1, "running": 0, "stopped": 0}


def test_a_bus_that_is_dead(drive):
    tpu = Tpu()
    tpu.dead = True
    tpu.write(0, isa.encode([isa.operation("nop")]))
    driver = drive(tpu)
    outcome = driver.run(0, 1)
    assert outcome.bus_dead and outcome.error == isa.ErrorCode.END
    with pytest.raises(HostError, match=r"\(error 10\), and memory has not answered all bursts"):
        outcome.check()
    with pytest.raises(HostError, match="memory does not answer: reset TPU and interconnect"):
        driver.restart()


def test_an_image_that_ends_in_an_error(drive):
    tpu, image = Tpu(), copying()
    driver = drive(tpu)
    driver.load(image)
    tpu.memory[image.programs[1].address] = 0xEE
    with pytest.raises(HostError, match="stopped at instruction 0: no such instruction"):
        driver.execute(image)


def test_no_interrupt(drive):
    tpu = Tpu(script=[])
    tpu.put("INSTRUCTIONS_LO", 17)
    with pytest.raises(WaitError, match="no interrupt after 3 seconds: status running, 17 instructions issued, error"):
        drive(tpu, limit=3).run(0, 1)


def test_the_line_is_seen_once_more_after_it_was_cleared(drive):
    """A level that follows late is no interrupt; one that never falls is an error."""
    tpu, script = Tpu(script=[]), [("program",), (), ("halt",)]

    def wait(limit):
        tpu.raised(*script.pop(0))
        return True

    tpu.wait = wait
    outcome = drive(tpu).run(0, 1)
    assert outcome.halted and outcome.interrupts == 1 and not script
    tpu.wait = lambda limit: True
    with pytest.raises(WaitError, match="the interrupt line is high, but no interrupt is pending: status running"):
        drive(tpu).run(0, 1)


def test_interrupts_that_are_enabled(drive):
    tpu = Tpu(script=[])
    driver = drive(tpu)
    driver.start(0, 1, interrupts=["halt"])
    assert tpu.at("INTERRUPT_ENABLE") == mask("INTERRUPT_ENABLE", "halt")
    tpu.script = [("program", "halt")]
    assert driver.interrupted() == {"program", "halt"}
    driver.ring()
    assert tpu.log[-1] == ("CONTROL", mask("CONTROL", "start"))


def test_registers(drive):
    tpu = Tpu()
    driver = drive(tpu)
    assert driver.identify() == tpu_preset("tpu_4x4").identity
    driver.write("WATCHDOG", 5)
    assert driver.read("WATCHDOG") == 5
    tpu.silent = (registers.address("WATCHDOG"),)
    with pytest.raises(RegisterError, match="register WATCHDOG, at 0x28, does not answer"):
        driver.read("WATCHDOG")
    with pytest.raises(RegisterError, match="register WATCHDOG, at 0x28, answers SLVERR"):
        driver.run(0, 1, watchdog=3)
    with pytest.raises(HostError, match="field of CONTROL must be one of start, restart, not stop"):
        driver.write_ones("CONTROL", "stop")
    tpu.put("ID", 5)
    with pytest.raises(HostError, match="register ID must be 0x54505531, which is a TPU's, not 0x00000005"):
        driver.identify()


def test_links_of_other_units():
    tpu = Tpu()
    tpu.unit = "fortnights"
    with pytest.raises(ValueError, match="unit of a link must be one of cycles, seconds, not 'fortnights'"):
        Driver(tpu)


def test_steps_without_a_link():
    """They are generators: whoever has no link at hand may answer them."""
    asked = steps.interrupted(3)
    assert next(asked) == Wait(3)
    assert asked.send(None).address == registers.address("INTERRUPT_STATUS")
    assert asked.send(mask("INTERRUPT_STATUS", "halt")).value == mask("INTERRUPT_STATUS", "halt")
    with pytest.raises(StopIteration) as end:
        asked.send(None)
    assert end.value.value == {"halt"}


def test_methods_are_documented():
    for name in ("run", "execute", "start"):
        assert inspect.getdoc(getattr(Driver, name)) == inspect.getdoc(getattr(steps, name))
        assert inspect.getdoc(getattr(Driver(Tpu()), name)) == inspect.getdoc(getattr(steps, name))
