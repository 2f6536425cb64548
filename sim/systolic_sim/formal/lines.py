"""Serial lines: what one end sends the other receives."""

from amaranth.hdl import Mux, Signal

from systolic.gateware.serial.uart import Receiver, Transmitter
from systolic_sim.formal.engine import Bench

__all__ = ["serial"]


def serial(divisor):
    """A transmitter on a receiver, at one rate, with any pauses."""
    def describe(m):
        m.submodules.sends = sends = Transmitter(divisor=divisor)
        m.submodules.receives = receives = Receiver(divisor=divisor)
        valid, payload = Signal(), Signal(8)
        m.d.comb += [sends.i.valid.eq(valid), sends.i.payload.eq(payload), receives.rx.eq(sends.tx)]
        sent, under_way, late = Signal(8), Signal(), Signal(range(12 * divisor))
        with m.If(valid & sends.i.ready):
            m.d.sync += [sent.eq(payload), under_way.eq(1)]
        with m.Elif(receives.o.valid):
            m.d.sync += under_way.eq(0)
        m.d.sync += late.eq(Mux(under_way & ~receives.o.valid, late + 1, 0))
        assertions = [~receives.o.valid | (under_way & (receives.o.payload == sent)),
                      ~(valid & sends.i.ready & under_way & ~receives.o.valid), late <= 10 * divisor + 3]
        return [valid, payload], [], assertions, [receives.o.valid & (sent == 0xA5)]
    return Bench(f"serial line, {divisor} cycles a bit", "each byte arrives, once, as it was, in time", describe,
                 covers=1)
