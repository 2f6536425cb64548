"""The serial line at its pins, in compiled Verilog: whatever happens to frames, each request is executed once."""

import json
import random
import zlib

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from systolic import registers
from systolic.cli import main
from systolic.compiler import Builder
from systolic.compiler.layout import Layout
from systolic.errors import UserError
from systolic.gateware.host.control import ControlRegisters
from systolic.gateware.lib.on_chip_memory import OnChipMemory
from systolic.gateware.serial.link import SerialLink as Gateware
from systolic.gateware.serial.uart import Receiver, Transmitter
from systolic.gateware.shared import Shared, place
from systolic.host import Driver, LinkError
from systolic.host.serial import SerialLink, open_serial
from systolic.serial_protocol import PAYLOAD, Operation, find_reply, request
from systolic.tops import SerialTpuTop
from systolic.tpu_config import tpu_preset
from systolic_sim.rtl.serial_line import serial_line, serial_tpu

DIVISOR, PAUSE, SIZE = 4, 400, 1024


class Bare(Shared):
    """The line's end with memory and registers, but no TPU: it counts doorbells and shows them as DEBUG_TAG."""

    resets = True
    module_name = "bare"
    memory_size, divisor, pause = SIZE, DIVISOR, PAUSE

    def __init__(self, config):
        self.config = config
        super().__init__({"rx": In(1), "tx": Out(1), "interrupt": Out(1)})

    def build(self, platform):
        m = Module()
        receiver = place(m, "receiver", Receiver(divisor=DIVISOR))
        transmitter = place(m, "transmitter", Transmitter(divisor=DIVISOR))
        link = place(m, "link", Gateware(bus_bytes=self.config.bus_bytes, pause=PAUSE))
        control = place(m, "control", ControlRegisters(self.config))
        storage = place(m, "memory", OnChipMemory(size=SIZE, bus_bytes=self.config.bus_bytes))
        wiring.connect(m, receiver.o, link.i)
        wiring.connect(m, link.o, transmitter.i)
        wiring.connect(m, link.registers, control.s_axi)
        wiring.connect(m, link.memory, storage.bus)
        bells = Signal(32)
        m.d.sync += bells.eq(bells + control.sequencer.start)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), control.sequencer.debug_tag.eq(bells),
                     link.interrupt.eq(control.interrupt), self.interrupt.eq(control.interrupt)]
        return m


class Damage:
    """A wire that cuts, flips, duplicates, merges, delays and loses a share of what passes, either way."""

    def __init__(self, wire, share, seed):
        self.wire, self.share, self.random = wire, share, random.Random(seed)
        self.late = [b"", b""]
        self.damaged = 0
        self.now = wire.now

    def send(self, data):
        self.wire.send(self._pass(data, 0))

    def receive(self, seconds):
        # A whole reply, as far as it comes without a pause.
        data = bytearray()
        while part := self.wire.receive(min(seconds, 60e-6) if data else seconds):
            data += part
        return self._pass(bytes(data), 1) if data or self.late[1] else b""

    def _pass(self, data, way):
        data, self.late[way] = self.late[way] + data, b""
        if not data or self.random.random() >= self.share:
            return data
        self.damaged += 1
        place = self.random.randrange(len(data))
        match self.random.choice(("cut", "flip", "duplicate", "merge", "delay", "lose", "stray")):
            case "cut":
                return data[:place]
            case "flip":
                return data[:place] + bytes([data[place] ^ 1 << self.random.randrange(8)]) + data[place + 1:]
            case "duplicate":
                return data + data
            case "merge":
                return data[:place] + data
            case "delay":
                self.late[way] = data
                return b""
            case "lose":
                return b""
            case "stray":
                return self.random.randbytes(place + 1) + data


@pytest.fixture(scope="module")
def config():
    return tpu_preset("tpu_4x4")


@pytest.fixture(scope="module")
def bare(config):
    return serial_line(SerialTpuTop(Bare(config)), divisor=DIVISOR, pause=PAUSE)


def test_10000_damaged_frames(bare):
    """Bytes and registers are those of the writes in order, a doorbell rings once, and every call ends."""
    bare.reset()
    damage = Damage(bare, 0.5, seed=7)
    link = SerialLink(damage, baud=bare.baud, pause=bare.pause, attempts=60)
    rng = random.Random(8)
    size = 256
    link.write(0, bytes(size))
    memory, words, bells = bytearray(size), {"PROGRAM_ADDRESS": 0, "WATCHDOG": 0}, 0
    for name in words:
        link.write32(registers.address(name), 0)
    while damage.damaged < 10_000:
        count = rng.randint(1, 12)
        address = rng.randrange(size - count)
        match rng.randrange(5):
            case 0:
                memory[address:address + count] = data = rng.randbytes(count)
                link.write(address, data)
            case 1:
                assert link.read(address, count) == memory[address:address + count]
            case 2:
                name = rng.choice(list(words))
                words[name] = rng.getrandbits(32)
                link.write32(registers.address(name), words[name])
            case 3:
                name = rng.choice(list(words))
                assert link.read32(registers.address(name)) == words[name]
            case 4:
                link.write32(registers.address("CONTROL"), 1)
                bells += 1
                assert link.read32(registers.address("DEBUG_TAG")) == bells
    assert link.repeats > 2000
    assert link.read(0, size) == memory


def test_silence_ends(bare):
    class Silent:
        now = bare.now

        def send(self, data):
            pass

        def receive(self, seconds):
            return bare.receive(seconds)
    before = bare.now()
    with pytest.raises(LinkError, match=f"does not answer to 3 frames at {bare.baud} baud"):
        SerialLink(Silent(), baud=bare.baud, pause=bare.pause, attempts=3)
    assert bare.now() - before < 3 * (2 * bare.pause + 40 * 10 / bare.baud)


def test_reset_is_told(bare):
    link = SerialLink(bare, baud=bare.baud, pause=bare.pause)
    bare.reset()
    with pytest.raises(LinkError, match="was reset since"):
        link.read(0, 1)


def test_longest_payload_and_bus_errors(bare):
    bare.reset()
    link = SerialLink(bare, baud=bare.baud, pause=bare.pause)
    data = random.Random(1).randbytes(3 * PAYLOAD + 5)
    link.write(3, data)
    assert link.read(3, len(data)) == data and link.repeats == 0
    assert link.read(0, 0) == b""
    for call in (lambda: link.read(SIZE - 2, 4), lambda: link.write(SIZE, b"x"), lambda: link.read32(0x7C)):
        with pytest.raises(LinkError, match="answers SLVERR"):
            call()
    assert link.read(3, len(data)) == data


@pytest.mark.parametrize("frame", [
    request(0, Operation.READ_MEMORY, count=PAYLOAD + 1), request(0, Operation.READ_REGISTER, count=3),
    request(0, Operation.WRITE_REGISTER, payload=b"abc"), request(0, Operation.POLL, count=1),
    request(0, Operation.HELLO)[:-1] + b"\0", b"\x5a\0\x06\0" + bytes(8)])
def test_what_is_no_request_is_not_answered(bare, frame):
    bare.reset()
    bare.send(frame)
    assert bare.receive(3 * bare.pause) == b""
    SerialLink(bare, baud=bare.baud, pause=bare.pause)


def test_reply_among_damage():
    """The reply is found behind what looks like one, and what may become one is kept."""
    body = bytes([0xA5, 3, 2, 0xA5, 0xA5, 128])
    reply = body + zlib.crc32(body).to_bytes(4, "little")
    for garbage in (b"", b"\xa5", b"\xa5\x03\x02", reply[:-1], reply[1:], b"\xa5" * 5):
        found, rest = find_reply(garbage + reply + bytes(300) + b"\xa5\x01", 3)
        assert found is not None and found.payload == b"\xa5\xa5" and found.status == 128
        assert rest.endswith(b"\xa5\x01")
    assert find_reply(reply, 4) == (None, b"")
    assert find_reply(reply[:5], 3) == (None, reply[:5])


def test_program_over_a_bad_line(config):
    """A TPU executes a program that came over a damaged line, and its result goes back over it."""
    layout = Layout.of(3, 5, 7)
    builder = Builder(config)
    builder.store(builder.load(builder.input("x", layout)), builder.output("y", layout))
    builder.end()
    image = builder.image()
    wire = serial_tpu(config, memory_size=-(-image.end // 1024) * 1024, divisor=DIVISOR, pause=PAUSE)
    link = SerialLink(Damage(wire, 0.3, seed=1), baud=wire.baud, pause=wire.pause, attempts=60)
    driver = Driver(link, limit=1.0)
    assert driver.identify() == config.identity
    driver.load(image)
    rng = np.random.default_rng(2)
    for _ in range(5):
        x = rng.integers(-128, 128, (3, 5, 7), np.int8)
        driver.feed(image, x=x)
        outputs, outcomes = driver.execute(image)
        assert (outputs["y"] == x).all() and [each.error_code for each in outcomes] == [0]
    assert link.repeats > 5


@pytest.mark.parametrize("error", [-0.02, 0.02])
def test_rates_that_differ(error):
    """A receiver takes bytes, back to back, from a clock that is 2 % off; what has no stop bit is no byte."""
    data, divisor = random.Random(3).randbytes(20), 20
    dut, got = Receiver(divisor=divisor), []
    bits = [level for byte in data for level in (0, *(byte >> place & 1 for place in range(8)), 1)]
    bits += [0] * 10 + [1] * 20
    levels = [bits[int(cycle / divisor / (1 + error))] for cycle in range(int(len(bits) * divisor * (1 + error)) - 1)]

    async def testbench(ctx):
        for level in levels:
            ctx.set(dut.rx, level)
            await ctx.tick()
            if ctx.get(dut.o.valid):
                got.append(ctx.get(dut.o.payload))
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert bytes(got) == data


@pytest.mark.parametrize("argument, message", [
    ("", "target must be serial:PORT or serial:PORT@BAUD, not 'serial:'"), ("/dev/x@fast", "baud must be a positive"),
    ("/no/such/port", "port /no/such/port cannot be opened")])
def test_ports_that_are_none(config, argument, message):
    with pytest.raises(UserError, match=message):
        open_serial(config, 64, argument)


def test_generated_by_command(tmp_path, capsys):
    assert main(["generate", "--tpu", "tpu_4x4", "--serial", "--memory-size", "4096", "--clock", "25000000",
                 "--out", str(tmp_path)]) == 0
    text = (tmp_path / "serial_tpu_4x4.v").read_text()
    assert "module serial_tpu_4x4(" in text
    assert json.loads((tmp_path / "serial_tpu_4x4.json").read_text())["divisor"] == 25
    for options, message in ((["--tpu", "tpu_4x4", "--baud", "20000000"], "baud must be an integer from 1 to"),
                             ([], "--serial needs a TPU")):
        assert main(["generate", "--serial", "--out", str(tmp_path), *options]) == 2
        assert message in capsys.readouterr().err
