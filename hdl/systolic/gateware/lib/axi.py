"""The subset of AXI4 in use, with the names of the specification.

Every channel is a stream. There are no IDs: all transactions have ID 0, and responses are in order. A signal is named
after channel and field, as in ``bus.ar.payload.len`` for ARLEN.
"""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AXI4", "Address", "AxiLite", "DECERR", "INCR", "OKAY", "ReadData", "Response", "SLVERR", "WriteData"]

#: RRESP and BRESP; bit 1 is set in every error.
OKAY, SLVERR, DECERR = 0, 2, 3

#: ARBURST and AWBURST of a burst to rising addresses.
INCR = 1


class Address(data.StructLayout):
    """Payload of AR and AW. ``len``: number of beats, minus one. ``size``: log2 of the bytes of a beat."""

    def __init__(self):
        super().__init__({"addr": 32, "len": 8, "size": 3, "burst": 2})


class ReadData(data.StructLayout):
    """Payload of R."""

    def __init__(self, bus_bytes):
        super().__init__({"data": 8 * bus_bytes, "resp": 2, "last": 1})


class WriteData(data.StructLayout):
    """Payload of W."""

    def __init__(self, bus_bytes):
        super().__init__({"data": 8 * bus_bytes, "strb": bus_bytes, "last": 1})


class Response(data.StructLayout):
    """Payload of B."""

    def __init__(self):
        super().__init__({"resp": 2})


class AXI4(wiring.Signature):
    """AXI4 as its master sees it.

    Parameters
    ----------
    bus_bytes : int
        Width of the data in bytes.
    reads, writes : bool
        Whether there are AR and R; whether there are AW, W and B.
    """

    def __init__(self, bus_bytes, *, reads=True, writes=True):
        self.bus_bytes = bus_bytes
        members = {}
        if reads:
            members |= {"ar": Out(stream.Signature(Address())), "r": In(stream.Signature(ReadData(bus_bytes)))}
        if writes:
            members |= {"aw": Out(stream.Signature(Address())), "w": Out(stream.Signature(WriteData(bus_bytes))),
                        "b": In(stream.Signature(Response()))}
        super().__init__(members)


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32 bits of data, seen by the manager; names of the specification. There is no AxPROT."""

    def __init__(self, address_width):
        self.address_width = address_width
        super().__init__({
            "awaddr": Out(address_width), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(address_width), "arvalid": Out(1), "arready": In(1),
            "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
        })
