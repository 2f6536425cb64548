"""What to build around a matrix unit: the parameters of a whole TPU, and what follows from them."""

import dataclasses
import json
import zlib
from typing import Any

from .config import Arch, Config, Impl
from .errors import require, require_one_of
from .formats import FORMATS

__all__ = ["IDENTITY", "PAGE_BYTES", "TPU_PRESETS", "TpuConfig", "tpu_preset"]

#: Register and field of each parameter by which a host tells one TPU from another.
IDENTITY = {
    "rows": ("SHAPE", "rows"), "cols": ("SHAPE", "cols"), "buffer_size": ("BUFFER", "size"),
    "lanes": ("UNITS", "lanes"), "taps": ("UNITS", "taps"), "accumulator_depth": ("SUMS", "accumulators"),
    "roundings": ("SUMS", "roundings"), "bus_bytes": ("BUS", "width"), "build": ("CONFIGURATION", "build"),
}

#: No burst on the memory bus crosses a multiple of this.
PAGE_BYTES = 4096


def _power_of_two(value: object) -> bool:
    return isinstance(value, int) and value > 0 and value & (value - 1) == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TpuConfig:
    """A TPU: matrix unit, unified buffer, activation unit, DMA and sequencer.

    Parameters
    ----------
    matrix : Config
        The matrix unit, int8. Its result FIFO holds the sums of one product while the next is computed.
    lanes : int
        Channels that the activation unit processes per cycle. 1 to C.
    buffer_size : int
        Size of the unified buffer in bytes. A multiple of ``banks``, up to 2**30.
    bus_bytes : int
        Width of the memory bus in bytes. A power of two from 4 to 64.
    burst_beats : int
        Maximum length of a burst on the memory bus in beats. 1 to 256.
    reads_in_flight : int
        Maximum number of outstanding read bursts. 1 to 64. It sets the size of the receive FIFOs of weights and load,
        and the memory latency up to which they receive one word per cycle: see ``covered_latency``.
    writes_in_flight : int
        Maximum number of outstanding write bursts. 1 to 64.
    roundings : int
        Number of requantisation roundings that are built: the first of single, double and fp32. 1 to 3. A program that
        sets another one ends with an error.
    name : str
        Of the Verilog top.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    matrix: Config
    lanes: int
    buffer_size: int
    bus_bytes: int = 8
    burst_beats: int = 16
    reads_in_flight: int = 32
    writes_in_flight: int = 32
    roundings: int = 3
    name: str = "tpu"

    #: Cycles from an accepted read request of the unified buffer to its data.
    READ_LATENCY = 6

    def __post_init__(self) -> None:
        arch = self.matrix.arch
        fit = [format.name for format in FORMATS.values() if "tpu_v1" in format.units]
        require("tpu_v1" in arch.format.units, "format", f"{' or '.join(fit)} in a TPU v1", arch.format.name)
        require(isinstance(self.lanes, int) and 1 <= self.lanes <= arch.cols, "lanes",
                f"from 1 to the {arch.cols} columns", self.lanes)
        require(_power_of_two(self.bus_bytes) and 4 <= self.bus_bytes <= 64, "bus_bytes",
                "a power of two from 4 to 64", self.bus_bytes)
        require(isinstance(self.buffer_size, int) and self.buffer_size % self.banks == 0
                and 2 * self.banks <= self.buffer_size <= 2**30, "buffer_size",
                f"a multiple of {self.banks} from {2 * self.banks} to 2**30", self.buffer_size)
        for parameter, most in (("burst_beats", 256), ("reads_in_flight", 64), ("writes_in_flight", 64),
                                ("roundings", 3)):
            value = getattr(self, parameter)
            require(isinstance(value, int) and 1 <= value <= most, parameter, f"an integer from 1 to {most}", value)

    @property
    def banks(self) -> int:
        """Bytes that the unified buffer reads per cycle, at any address; one memory bank each."""
        return 1 << (max(self.matrix.arch.rows, self.lanes, self.bus_bytes) - 1).bit_length()

    @property
    def write_bytes(self) -> int:
        """Bytes that the unified buffer writes per cycle, at any address."""
        return 1 << (max(self.lanes, self.bus_bytes) - 1).bit_length()

    @property
    def record_reads(self) -> int:
        """Reads of the unified buffer per parameter record: 12 of its 16 bytes are used."""
        return -(-12 // self.banks)

    @property
    def address_width(self) -> int:
        """Bits of buffer addresses inside the machine; strides are added modulo 2**address_width."""
        return self.buffer_size.bit_length() + 1

    @property
    def groups(self) -> int:
        """Steps of the activation unit per row of sums."""
        return -(-self.matrix.arch.cols // self.lanes)

    @property
    def groups_per_read(self) -> int:
        """Groups of an addition's input that the activation unit reads at once."""
        return self.banks // self.lanes

    @property
    def longest_burst(self) -> int:
        """Beats of the longest burst there is."""
        return min(self.burst_beats, PAGE_BYTES // self.bus_bytes)

    @property
    def receive_beats(self) -> int:
        """Beats that weights or load may have outstanding or unused. At least two bursts: one arrives, one drains."""
        return max(2, self.reads_in_flight) * self.longest_burst

    @property
    def covered_latency(self) -> int:
        """Latency of memory, in cycles, up to which streams move a bus word per cycle, with bursts of 8 beats or more.

        A burst is asked for when the one ``reads_in_flight`` before it has come, and is on its way for 6 cycles more; a
        write also for those that the unified buffer takes.
        """
        bursts = min(self.reads_in_flight, self.writes_in_flight) - 1
        return max(0, bursts * self.longest_burst - 6 - self.READ_LATENCY)

    @property
    def weight_rows_per_beat(self) -> int:
        """Rows of weights, C bytes each, in a bus word; 1 if a row takes one or more words."""
        return max(1, self.bus_bytes // self.matrix.arch.cols)

    @property
    def weight_beats_per_row(self) -> int:
        """Bus words that a row of weights takes; unused bytes at its end."""
        return -(-self.matrix.arch.cols // self.bus_bytes)

    def tile_bytes(self, *, diagonal: bool = False) -> int:
        """Bytes of a weight tile in memory: its rows, last first, in whole bus words; diagonal: one row."""
        rows = 1 if diagonal else self.matrix.arch.rows
        return -(-rows // self.weight_rows_per_beat) * self.weight_beats_per_row * self.bus_bytes

    @property
    def parameters(self) -> dict[str, object]:
        """What a compiled program depends on: all but names, pipelining and mapping (:class:`.Impl`)."""
        arch = self.matrix.arch
        fields = dataclasses.asdict(arch) | {"format": arch.format.name} | self.describe()
        return {name: value for name, value in fields.items() if name not in ("matrix", "name")}

    @property
    def build(self) -> int:
        """CRC-32 of ``parameters`` as JSON with sorted keys."""
        return zlib.crc32(json.dumps(self.parameters, sort_keys=True).encode())

    @property
    def identity(self) -> dict[str, int]:
        """What the identification registers hold: parameters by name, as :data:`IDENTITY` places them."""
        arch = self.matrix.arch
        return {"rows": arch.rows, "cols": arch.cols, "buffer_size": self.buffer_size, "lanes": self.lanes,
                "taps": arch.taps, "accumulator_depth": arch.accumulator_depth, "roundings": self.roundings,
                "bus_bytes": self.bus_bytes, "build": self.build}

    def describe(self) -> dict[str, object]:
        """Plain-data form, as the JSON sidecar holds it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "matrix"}
        return fields | {"matrix": self.matrix.describe()}


def _preset(name: str, rows: int, cols: int, *, lanes: int, kilobytes: int, depth: int, fifo_tiles: int = 4,
            taps: int = 0, **options: Any) -> TpuConfig:
    arch = Arch(rows=rows, cols=cols, accumulator_depth=depth, result_fifo_depth=depth, weight_fifo_depth=fifo_tiles,
                taps=taps)
    impl = Impl(**options.pop("impl", {}))
    return TpuConfig(name=name, matrix=Config(arch=arch, impl=impl, name=f"{name}_unit"), lanes=lanes,
                     buffer_size=kilobytes * 1024, **options)


#: Presets. ``tpu_v1``: TPU v1 (ISCA 2017): 24 MiB unified buffer, 4096 x 256 accumulators of which half are
#: the result FIFO here, four tiles of weight FIFO, and a bus that carries its 34 GB/s at 700 MHz.
#: 512 beats in flight are what a block RAM of the ECP5 holds; ``tpu_4x4``, for small chips, has half as many.
TPU_PRESETS = {each.name: each for each in [
    _preset("tpu_4x4", 4, 4, lanes=2, kilobytes=8, depth=64, fifo_tiles=2, bus_bytes=4,
            reads_in_flight=16, writes_in_flight=16),
    _preset("tpu_8x8", 8, 8, lanes=4, kilobytes=64, depth=256, taps=3),
    _preset("tpu_12x20", 12, 20, lanes=10, kilobytes=64, depth=256, taps=3),
    _preset("tpu_16x16", 16, 16, lanes=8, kilobytes=128, depth=256, taps=3),
    _preset("tpu_v1", 256, 256, lanes=256, kilobytes=24 * 1024, depth=2048, bus_bytes=64, burst_beats=64,
            reads_in_flight=8, writes_in_flight=8),
]}


def tpu_preset(name: str) -> TpuConfig:
    """The preset of that name.

    Raises
    ------
    ConfigError
        If there is none; the message lists those there are.
    """
    require_one_of("tpu", TPU_PRESETS, name)
    return TPU_PRESETS[name]
