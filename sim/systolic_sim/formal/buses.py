"""Buses: the AXI4-Lite slave of the host, the master that reads, and two masters of one bus."""

from amaranth.hdl import Cat, Mux, Signal

from systolic import registers
from systolic.gateware.dma.read_dma import ReadDma
from systolic.gateware.host.control import ControlRegisters
from systolic.gateware.lib.axi_switch import AxiSwitch
from systolic_sim.formal.engine import Bench

__all__ = ["control", "read_dma", "switch"]


def _inputs(m, *ports):
    """Free signals for input ports of a component."""
    free = [Signal(len(port.as_value() if hasattr(port, "as_value") else port)) for port in ports]
    for port, value in zip(ports, free, strict=True):
        m.d.comb += (port.as_value() if hasattr(port, "as_value") else port).eq(value)
    return free


def _stays(m, valid, ready, *payload):
    """Whether what was offered in the cycle before and not taken is offered still."""
    waits, before = Signal(), Signal(sum(len(bits) for bits in payload))
    now = Cat(*payload)
    m.d.sync += [waits.eq(valid & ~ready), before.eq(now)]
    return ~waits | (valid & (now == before))


def control(config):
    """Any manager that keeps what it offers; any sequencer."""
    def describe(m):
        m.submodules.control = dut = ControlRegisters(config)
        axi, host = dut.s_axi, dut.sequencer
        inputs = _inputs(m, axi.awaddr, axi.awvalid, axi.wdata, axi.wstrb, axi.wvalid, axi.bready, axi.araddr,
                         axi.arvalid, axi.rready, host.running, host.stopped, host.bus_dead, host.halted,
                         host.interrupted, host.failed)
        assumptions = [_stays(m, axi.awvalid, axi.awready, axi.awaddr),
                       _stays(m, axi.wvalid, axi.wready, axi.wdata, axi.wstrb),
                       _stays(m, axi.arvalid, axi.arready, axi.araddr)]
        write, read = axi.awvalid & axi.awready, axi.arvalid & axi.arready
        writing, reading = Signal(), Signal()
        m.d.sync += [writing.eq(Mux(writing, ~(axi.bvalid & axi.bready), write)),
                     reading.eq(Mux(reading, ~(axi.rvalid & axi.rready), read))]
        # Cycles since both parts of a write were there, or an address to read, without an answer.
        late_write, late_read = Signal(4), Signal(6)
        m.d.sync += [late_write.eq(Mux(axi.awvalid & axi.wvalid & ~axi.bvalid, late_write + (late_write != 15), 0)),
                     late_read.eq(Mux((axi.arvalid | reading) & ~axi.rvalid, late_read + (late_read != 63), 0))]
        # One register beside the real one, and what was so in the cycle before.
        watchdog = registers.register("WATCHDOG")
        shadow = Signal(32, init=watchdog.field("cycles").reset)
        bytes_ = Cat(strobe.replicate(8) for strobe in axi.wstrb)
        with m.If(write & (axi.awaddr[2:] == watchdog.address >> 2)):
            m.d.sync += shadow.eq(shadow & ~bytes_ | axi.wdata & bytes_)
        ready, dead = Signal(), Signal()
        m.d.sync += [ready.eq(~host.running & ~host.stopped), dead.eq(~host.stopped | host.bus_dead)]
        assertions = [
            axi.awready == axi.wready, ~axi.awready | (axi.awvalid & axi.wvalid), ~(write & writing),
            ~axi.bvalid | writing, _stays(m, axi.bvalid, axi.bready, axi.bresp), ~axi.bresp[0],
            ~(read & reading), ~axi.rvalid | reading, _stays(m, axi.rvalid, axi.rready, axi.rdata, axi.rresp),
            late_write <= 2, late_read <= 20, host.watchdog == shadow,
            ~host.start | ready, ~dut.restart | ~dead,
        ]
        return inputs, assumptions, assertions, [axi.bvalid & axi.bready & axi.rvalid & axi.rready, host.start,
                                                 dut.restart]
    return Bench("control registers", "AXI4-Lite: offers stay, one answer a request, within 3 and 21 cycles; strobes; "
                 "start and restart only when they may", describe, covers=3)


def read_dma(config):
    """Any clients; a memory that answers in order, only what was asked, with as many beats."""
    def describe(m):
        m.submodules.dma = dut = ReadDma(config)
        clients = (dut.fetch, dut.weights, dut.load)
        ar, r = dut.bus.ar, dut.bus.r
        inputs = _inputs(m, ar.ready, r.valid, r.payload.last, r.payload.resp, dut.stop,
                         *(client.valid for client in clients))
        # Bursts under way, and how many beats the oldest has had; those of a client that is watched.
        under_way, asked = Signal(range(config.reads_in_flight + 2)), [Signal(6) for _ in clients]
        begun, ended = Signal(), r.valid & r.payload.last
        shown = Signal()  # an address that was on offer before
        m.d.sync += shown.eq(ar.valid & ~ar.ready)
        m.d.comb += begun.eq(ar.valid & ar.ready)
        m.d.sync += under_way.eq(under_way + begun - ended)
        beats = (dut.fetch_beat, dut.weights_beat, dut.load_beat)
        for count, client, beat in zip(asked, clients, beats, strict=True):
            m.d.sync += count.eq(count + (client.valid & client.ready) - (beat.valid & beat.last))
        stopped = Signal()
        m.d.sync += stopped.eq(dut.stop)
        got = Cat(beat.valid for beat in beats)
        assertions = [
            _stays(m, ar.valid, ar.ready, ar.payload.addr, ar.payload.len), under_way <= config.reads_in_flight,
            r.ready, dut.idle <= (under_way == 0), ~(ar.valid & ~shown & stopped),
            (got & (got - 1))[:len(beats)] == 0,
            *(~beat.valid | (count != 0) for beat, count in zip(beats, asked, strict=True)),
        ]
        return inputs, [~r.valid | (under_way != 0)], assertions, [under_way == config.reads_in_flight,
                                                                   dut.load_beat.valid & dut.load_beat.last]
    return Bench(f"read DMA, {config.reads_in_flight} in flight", "AXI4 master: offers stay, bursts under way are "
                 "bounded, none begins after a stop, each beat goes to one client that asked", describe, covers=2)


def switch(bus_bytes=4):
    """Any two masters that keep what they offer, and any memory that answers only what was asked."""
    def describe(m):
        m.submodules.switch = dut = AxiSwitch(bus_bytes=bus_bytes)
        first, second = dut.masters
        bus = dut.bus
        inputs = _inputs(m, bus.ar.ready, bus.aw.ready, bus.w.ready, bus.r.valid, bus.r.payload.last, bus.b.valid,
                         *(port for each in (first, second) for port in (
                             each.ar.valid, each.ar.payload.addr, each.aw.valid, each.w.valid, each.r.ready,
                             each.b.ready)))
        reads, writes = ([Signal(6, name=f"{kind}_{number}") for number in range(2)] for kind in ("reads", "writes"))
        assumptions, assertions = [], []
        total_reads, total_writes = reads[0] + reads[1], writes[0] + writes[1]
        for number, each in enumerate((first, second)):
            assumptions += [_stays(m, each.ar.valid, each.ar.ready, each.ar.payload.addr),
                            _stays(m, each.aw.valid, each.aw.ready)]
            r, b = each.r.valid & each.r.ready & each.r.payload.last, each.b.valid & each.b.ready
            m.d.sync += [reads[number].eq(reads[number] + (each.ar.valid & each.ar.ready) - r),
                         writes[number].eq(writes[number] + (each.aw.valid & each.aw.ready) - b)]
            assertions += [~each.r.valid | (reads[number] != 0), ~each.b.valid | (writes[number] != 0)]
        assumptions += [~bus.r.valid | (total_reads != 0), ~bus.b.valid | (total_writes != 0)]
        assertions += [_stays(m, bus.ar.valid, bus.ar.ready, bus.ar.payload.addr),
                       _stays(m, bus.aw.valid, bus.aw.ready), total_reads <= AxiSwitch.MOST,
                       total_writes <= AxiSwitch.MOST,
                       ((reads[0] | writes[0]) == 0) | ((reads[1] | writes[1]) == 0)]
        return inputs, assumptions, assertions, [reads[1] == 2, writes[1] == 1]
    return Bench("bus switch", "offers stay; one master at a time has bursts under way, 31 at most, and gets all of "
                 "their answers", describe, covers=2)
