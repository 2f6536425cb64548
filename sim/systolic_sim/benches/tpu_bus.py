"""Memory of a TPU and a driver's link to it in a cocotb testbench, on the models of cocotbext-axi."""

import logging

import numpy as np
from cocotb.triggers import RisingEdge
from cocotb.types import LogicArray
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiResp, AxiSlave
from cocotbext.axi.axi_channels import AxiARBus, AxiAWBus, AxiBBus, AxiRBus, AxiWBus

from systolic.host import LinkError

__all__ = ["CHANNELS", "PAUSES", "HostLink", "Memory", "axi_bus", "pause", "quieten", "sample"]

#: Channels that can be paused: the host's and, after them, the memory's.
CHANNELS = ("s_aw", "s_w", "s_b", "s_ar", "s_r", "ar", "r", "aw", "w", "b")

#: Ways of pausing: the share of cycles, or ``"runs"`` of paused and other cycles.
PAUSES = (0.0, 0.1, 0.5, 0.9, "runs")

_LONGEST_RUN = 60


def _pattern(rng, kind):
    """For ever, whether to pause in a cycle."""
    while True:
        if kind == "runs":
            for paused in (True, False):
                yield from [paused] * int(rng.integers(1, _LONGEST_RUN))
        else:
            yield from (rng.random(256) < kind).tolist()


def pause(channel, kind, rng):
    """Pause a channel of cocotbext-axi from now on.

    Parameters
    ----------
    channel : StreamSource or StreamSink
    kind : float or str
        Of ``PAUSES``, or 1.0 for always.
    rng : numpy.random.Generator
        The channel's own.
    """
    channel.clear_pause_generator()
    channel.pause = kind == 1
    if kind not in (0, 1):
        channel.set_pause_generator(_pattern(rng, kind))


class _NoId:
    """Stands for the port of an ID, which cocotbext-axi insists on and our buses do not have: it has no bits."""

    value = LogicArray("")

    def __len__(self):
        return len(self.value)

    def setimmediatevalue(self, value):
        """Nobody listens."""


def axi_bus(dut, prefix):
    """An AXI4 bus without IDs, for cocotbext-axi."""
    return AxiBus.from_channels(*(_without_id(kind, dut, prefix)
                                  for kind in (AxiAWBus, AxiWBus, AxiBBus, AxiARBus, AxiRBus)))


def _without_id(kind, dut, prefix):
    ids = {"awid", "bid", "arid", "rid"} & set(kind._signals)
    bus = type(kind.__name__, (kind,), {"_signals": [name for name in kind._signals if name not in ids]})
    bus = bus.from_prefix(dut, prefix)
    for name in ids:
        setattr(bus, name, _NoId())
    return bus


class Memory:
    """An AXI4 slave with faults; reads and writes wait for nothing but their pauses.

    Parameters
    ----------
    dut : cocotb handle
    prefix : str
        Of the ports of its bus.

    Members
    -------
    bytes : uint8 array
        From address 0 on; DECERR beyond it. See :meth:`connect`.
    channels : dict
        The five, by name.
    """

    #: Addresses that it takes ahead of their data: more than any TPU asks for.
    AHEAD = 64

    def __init__(self, dut, prefix="m_axi"):
        self.connect(np.zeros(0, np.uint8))
        slave = AxiSlave(axi_bus(dut, prefix), dut.clk, dut.rst, target=self)
        read, write = slave.read_if, slave.write_if
        self.channels = {"ar": read.ar_channel, "r": read.r_channel, "aw": write.aw_channel, "w": write.w_channel,
                         "b": write.b_channel}
        for name in ("ar", "aw"):
            self.channels[name].queue_occupancy_limit = self.AHEAD
        for name in ("r", "b"):
            self._answer(self.channels[name], f"{name}resp")

    def connect(self, contents, faults=()):
        """Take an array as contents, which writes change, and addresses that answer with an error.

        Parameters
        ----------
        contents : uint8 array
        faults : iterable of .tpu_rtl.Fault
        """
        self.bytes, self._faults = contents, tuple(faults)
        self._response = AxiResp.OKAY

    def _answer(self, channel, field):
        """cocotbext-axi answers SLVERR to whatever fails: put the right error in its place."""
        send = channel.send

        async def answer(transaction):
            if getattr(transaction, field):
                setattr(transaction, field, self._response)
            await send(transaction)

        channel.send = answer

    def _check(self, address, length, writes):
        failed = [AxiResp(each.response) for each in self._faults
                  if (each.writes if writes else each.reads) and each.first < address + length and address < each.last]
        if address + length > len(self.bytes):
            failed.append(AxiResp.DECERR)
        if failed:
            self._response = failed[0]
            raise ValueError(f"{failed[0].name} at {address:#x}")

    async def read(self, address, length):
        """For cocotbext-axi."""
        self._check(address, length, writes=False)
        return self.bytes[address:address + length].tobytes()

    async def write(self, address, data):
        """For cocotbext-axi."""
        # Whole bus words fail, as reads do.
        word = len(self.channels["w"].bus.wstrb)
        self._check(address // word * word, word, writes=True)
        self.bytes[address:address + len(data)] = np.frombuffer(data, np.uint8)


class HostLink:
    """A :class:`systolic.host.AsyncLink`: registers by AXI4-Lite, the memory by the back door.

    Parameters
    ----------
    dut : cocotb handle
    memory : Memory

    Members
    -------
    channels : dict
        The five, by name with ``s_`` before it.
    """

    unit = "cycles"

    def __init__(self, dut, memory):
        self._dut, self._memory, self._edge = dut, memory, RisingEdge(dut.clk)
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        read, write = self._master.read_if, self._master.write_if
        self.channels = {"s_aw": write.aw_channel, "s_w": write.w_channel, "s_b": write.b_channel,
                         "s_ar": read.ar_channel, "s_r": read.r_channel}

    async def read32(self, address):
        """Value of a register."""
        return int.from_bytes(_good(await self.read_at(address, 4)).data, "little")

    async def write32(self, address, value):
        """Write a register."""
        _good(await self.write_at(address, value.to_bytes(4, "little")))

    async def read(self, address, size):
        """Bytes of the memory."""
        return self._memory.bytes[address:address + size].tobytes()

    async def write(self, address, data):
        """Write bytes of the memory."""
        self._memory.bytes[address:address + len(data)] = np.frombuffer(data, np.uint8)

    async def wait(self, limit):
        """Wait for the interrupt for that many cycles; whether it is high."""
        for _ in range(int(limit)):
            if int(self._dut.irq.value):
                return True
            await self._edge
        return bool(int(self._dut.irq.value))

    async def read_at(self, address, count):
        """Read ``count`` bytes of registers from any address; returns cocotbext-axi's answer."""
        return await self._master.read(address, count)

    async def write_at(self, address, data):
        """Write bytes of registers at any address, a strobe each; returns cocotbext-axi's answer."""
        return await self._master.write(address, data)


def _good(answer):
    if answer.resp != AxiResp.OKAY:
        raise LinkError(f"answers {answer.resp.name}")
    return answer


def sample(ports):
    """Valid, ready and payload of a channel, as :meth:`.tpu_monitor.Monitor.cycle` takes them.

    Parameters
    ----------
    ports : list of cocotb handles
        Valid, ready, and the fields of the payload.
    """
    valid, ready, *payload = ports
    valid = bool(valid.value)
    return valid, valid and bool(ready.value), tuple(int(port.value) for port in payload) if valid else ()


def quieten(dut):
    """Keep cocotbext-axi from writing a line for every burst."""
    for name in ("m_axi", "s_axi"):
        logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.ERROR)
