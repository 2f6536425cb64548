"""What to build: the architecture, its implementation, and the named presets.

:class:`Arch` fixes every result bit and every buffer size. :class:`Impl` fixes how fast and how large
the hardware is and never changes a result. A :class:`Config` is one of each, under a name, and knows the
latencies that follow; gateware, cycle model and documentation all take them from here.
"""

import dataclasses
import functools
from typing import Any

from .errors import require, require_int, require_one_of
from .formats import BF16, INT8, NumberFormat, number_format

__all__ = ["Arch", "Config", "Impl", "PRESETS", "preset"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arch:
    """Shape, number format and memory sizes of a matrix unit: all that results depend on.

    Parameters
    ----------
    rows : int
        R, elements of an activation vector and reduction (K) elements of a weight tile. 1 to 256.
    cols : int
        C, elements of a result vector and output (N) elements of a weight tile. 1 to 256.
    format : NumberFormat or str
        Number format of weights and activations, or its name: ``"int8"`` or ``"bf16"``.
    accumulator_depth : int
        Accumulator entries, each a row of ``cols`` 32-bit sums. ``rows`` to 65,536: with fewer than ``rows``, no
        product is long enough to hide the loading of the next weight tile.
    weight_fifo_depth : int
        Depth of the weight FIFO in tiles. 1 to 1024.
    result_fifo_depth : int
        Minimum depth of the result FIFO in rows of sums. 0 to 65,536. It is never less than the number of rows that
        can be in flight at one row per cycle.
    taps : int
        T, rows of the array that depthwise products use, int8 only: each column multiplies its own channel of the
        latest T activation rows. 0: no depthwise products; else 2 to ``rows``.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    rows: int
    cols: int
    format: NumberFormat = INT8
    accumulator_depth: int = 512
    weight_fifo_depth: int = 4
    result_fifo_depth: int = 0
    taps: int = 0

    def __post_init__(self) -> None:
        require_int("rows", self.rows, 1, 256)
        require_int("cols", self.cols, 1, 256)
        object.__setattr__(self, "format", number_format(getattr(self.format, "name", self.format)))
        require_int("accumulator_depth", self.accumulator_depth, self.rows,
                    65536, " (from the number of rows)")
        require_int("weight_fifo_depth", self.weight_fifo_depth, 1, 1024)
        require_int("result_fifo_depth", self.result_fifo_depth, 0, 65536)
        require_int("taps", self.taps, 0, self.rows if self.format.taps else 0,
                    "" if self.format.taps else f" with format {self.format.name}")
        require(self.taps != 1, "taps", "0 or at least 2", self.taps)

    @property
    def address_width(self) -> int:
        """Bits of an accumulator address."""
        return (self.accumulator_depth - 1).bit_length()

    @property
    def channels(self) -> int:
        """Channels of a depthwise product: column n takes element n of the activation rows."""
        return min(self.rows, self.cols)

    @property
    def operand_width(self) -> int:
        """Bits of a weight or activation inside the array."""
        return self.format.operand_width

    @property
    def psum_width(self) -> int:
        """Bits of a psum inside the array."""
        return self.format.psum_width(self.rows)

    @property
    def entry_width(self) -> int:
        """Bits of an accumulator entry."""
        return self.format.entry_width(self.rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Impl:
    """Pipelining and mapping: changes area, clock and latency, never a result.

    Parameters
    ----------
    product_stages : int or None
        Registers between the multiplier and the psum adder of a cell. 0 to 3. The default, ``None``, selects 1, or 0
        with a psum latency of 8, so that the fill is at most R * L + C + 10 cycles.
    psum_stages : int or None
        L, the psum latency of a cell in cycles. 1 to 4 for int8, 3 to 8 for bf16. The default, ``None``, selects 1 for
        int8 and 6 for bf16.
    hop_stages : int
        Latency of an activation from one column to the next in cycles. 1 to 4.
    gate_stages : int
        Registers between the row gate and the array. 0 or 1.
    adder_stages : int
        Latency of the accumulator adder in cycles with int8, including the write into memory. 1 or 2. With bf16 it
        is L.
    memory_stages : int
        Read latency of the accumulators in cycles. 1 to 3. More than one adds registers after the memory.
    memory : str
        Memory style. ``"auto"`` leaves the choice to synthesis. ``"block"`` and ``"distributed"`` request block or LUT
        memory with the attribute ``ram_style``. ``"ecp5_block"`` builds the accumulators of DP16KD blocks with their
        output registers, for up to 512 entries and three ``memory_stages``.
    multiplier : str
        Multiplier mapping. ``"generic"``: a behavioural product, mapped by synthesis. ``"ecp5_dsp"``: a MULT18X18D with
        its own registers. ``"ecp5_lut"``: carry chains of the ECP5; int8 only. ``"ice40_dsp"``: an SB_MAC16 for two
        columns; int8 only. ``"gowin_dsp"``: a Gowin MULT9X9 with its own registers.
    lut_rows : int
        Number of rows, counted from the bottom of the array, that use ``"ecp5_lut"`` multipliers although
        ``multiplier`` is ``"ecp5_dsp"``. They allow arrays larger than the number of DSP blocks.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    product_stages: int | None = None
    psum_stages: int | None = None
    hop_stages: int = 1
    gate_stages: int = 0
    adder_stages: int = 1
    memory_stages: int = 1
    memory: str = "auto"
    multiplier: str = "generic"
    lut_rows: int = 0

    MEMORIES = ("auto", "block", "distributed", "ecp5_block")
    MULTIPLIERS = ("generic", "ecp5_dsp", "ecp5_lut", "ice40_dsp", "gowin_dsp")

    def __post_init__(self) -> None:
        if self.product_stages is not None:
            require_int("product_stages", self.product_stages, 0, 3)
        if self.psum_stages is not None:
            require_int("psum_stages", self.psum_stages, 1, 8)
        require_int("hop_stages", self.hop_stages, 1, 4)
        require_int("gate_stages", self.gate_stages, 0, 1)
        require_int("adder_stages", self.adder_stages, 1, 2)
        require_int("memory_stages", self.memory_stages, 1, 3)
        require_one_of("memory", self.MEMORIES, self.memory)
        require_one_of("multiplier", self.MULTIPLIERS, self.multiplier)
        require_int("lut_rows", self.lut_rows, 0)


# Of Verilog-2005: no module can have such a name.
_KEYWORDS = frozenset("""
always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default defparam design
disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask event
for force forever fork function generate genvar highz0 highz1 if ifnone incdir include initial inout input instance
integer join large liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled not notif0
notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent
rcmos real realtime reg release repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify
specparam strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg
unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor
""".split())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A matrix unit to build: one :class:`Arch`, one :class:`Impl`, and what follows from them.

    ``impl`` has no ``None`` left: stages that nobody set follow from the format. ``impl_as_given`` still has.

    Raises
    ------
    ConfigError
        If the implementation does not fit the architecture.
    """

    arch: Arch
    impl: Impl = dataclasses.field(default_factory=Impl)
    name: str = "matrix_unit"
    impl_as_given: Impl = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "impl_as_given", self.impl)
        format, psum, product = self.arch.format, self.impl.psum_stages, self.impl.product_stages
        psum = format.default_psum_stages if psum is None else psum
        product = (1 if psum < 8 else 0) if product is None else product
        object.__setattr__(self, "impl", dataclasses.replace(self.impl, psum_stages=psum, product_stages=product))
        require_int("psum_stages", psum, *format.psum_stages, f" with format {format.name}")
        self._check_multiplier()
        require_int("memory_stages", self.impl.memory_stages, 1, min(3, self.array_latency - 1),
                    " (the way through so small an array)")
        if self.impl.memory == "ecp5_block":
            require_int("accumulator_depth", self.arch.accumulator_depth, 1, 512, " with memory ecp5_block")
            require_int("memory_stages", self.impl.memory_stages, 3, 3, " with memory ecp5_block")
            require(self.arch.entry_width <= 36, "memory",
                    f"other than ecp5_block with {self.arch.entry_width} bits per accumulator entry", self.impl.memory)
        require(isinstance(self.name, str) and self.name.isidentifier() and self.name.isascii()
                and self.name not in _KEYWORDS, "name", "a Verilog identifier", self.name)

    def _check_multiplier(self) -> None:
        impl, format = self.impl, self.arch.format
        if impl.multiplier != "generic":
            require_int("product_stages", impl.product_stages, 1, 3, f" with multiplier {impl.multiplier}")
        require(impl.multiplier in format.multipliers, "multiplier",
                f"one of {', '.join(format.multipliers)} with format {format.name}", impl.multiplier)
        most = self.arch.rows if impl.multiplier == "ecp5_dsp" and "ecp5_lut" in format.multipliers else 0
        require_int("lut_rows", impl.lut_rows, 0, most, " (rows with multiplier ecp5_dsp, if the format has ecp5_lut)")

    @property
    def psum_stages(self) -> int:
        """L, set by now: see ``Impl``."""
        assert self.impl.psum_stages is not None
        return self.impl.psum_stages

    @property
    def product_stages(self) -> int:
        """Registers between multiplier and adder, set by now: see ``Impl``."""
        assert self.impl.product_stages is not None
        return self.impl.product_stages

    @property
    def ecp5(self) -> bool:
        """Whether anything in it is mapped to an ECP5: the row gate then compares addresses in carry chains of it."""
        return self.impl.multiplier.startswith("ecp5") or self.impl.memory == "ecp5_block"

    @property
    def row_mappings(self) -> tuple[str, ...]:
        """Multiplier mapping of each row, top to bottom."""
        lut_rows = self.impl.lut_rows
        return (self.impl.multiplier,) * (self.arch.rows - lut_rows) + ("ecp5_lut",) * lut_rows

    @functools.cached_property
    def array_latency(self) -> int:
        """Cycles from a row's acceptance to its psums at the foot of the array, deskewed, if it does not wait.

        One for the head of the row gate and those behind it, one for the cell's activation register, the product
        registers, L for each row down and one hop for each column across.
        """
        return (2 + self.impl.gate_stages + self.product_stages + self.arch.rows * self.psum_stages
                + (self.arch.cols - 1) * self.impl.hop_stages)

    @property
    def adder_stages(self) -> int:
        """Cycles the accumulators' adder takes, the write into memory included."""
        return self.psum_stages if self.arch.format.cell_adder else self.impl.adder_stages

    @property
    def fifo_stages(self) -> int:
        """Cycles from a FIFO's address to its data: with blocks of the ECP5, their output registers are used."""
        return 2 if self.impl.memory == "ecp5_block" else 1

    @property
    def latency(self) -> int:
        """Cycles from a row's acceptance to its result on the output stream: the fill.

        Behind the array: the accumulators' adder, and the way through the result FIFO. Rows that wait at the gate
        take longer.
        """
        return self.array_latency + self.adder_stages + self.fifo_stages

    @property
    def turnaround(self) -> int:
        """Cycles after which a row may accumulate onto the entry that an earlier row wrote.

        A row that comes sooner waits at the gate. Products of at least this many rows never do.
        """
        return self.impl.memory_stages + self.adder_stages

    @property
    def result_fifo_depth(self) -> int:
        """Rows the result FIFO holds: what is in flight at one row a cycle, two for credits counted late; or more."""
        return max(self.latency + 2, self.arch.result_fifo_depth)

    @property
    def weight_fifo_rows(self) -> int:
        """Rows of weights the weight FIFO holds: its tiles, or two for full rate, and those at its output."""
        return max(2, self.arch.weight_fifo_depth * self.arch.rows) + self.fifo_stages

    @property
    def weight_latency(self) -> int:
        """Cycles from a weight row's acceptance to the earliest cycle in which it enters the array."""
        return 1 + self.fifo_stages

    def describe(self) -> dict[str, object]:
        """Plain-data form, as the JSON sidecar holds it."""
        arch = dataclasses.asdict(self.arch) | {"format": self.arch.format.name}
        return {"name": self.name, "arch": arch, "impl": dataclasses.asdict(self.impl)}


def _config(name: str, rows: int, cols: int, format: NumberFormat = INT8, *, accumulator_depth: int = 512,
            **impl: Any) -> Config:
    return Config(name=name, impl=Impl(**impl), arch=Arch(
        rows=rows, cols=cols, format=format, accumulator_depth=accumulator_depth))


PRESETS = {config.name: config for config in [
    _config("ice40_4x4", 4, 4, accumulator_depth=256),
    _config("int8_8x8", 8, 8),
    _config("int8_12x12", 12, 12),
    _config("int8_16x16", 16, 16, accumulator_depth=1024),
    _config("int8_32x32", 32, 32, accumulator_depth=1024),
    _config("bf16_4x4", 4, 4, BF16),
    _config("bf16_8x8", 8, 8, BF16),
    _config("bf16_16x16", 16, 16, BF16, accumulator_depth=1024),
    _config("ecp5_8x8", 8, 8, multiplier="ecp5_dsp", product_stages=2, gate_stages=1, adder_stages=2,
            memory="ecp5_block", memory_stages=3),
    _config("ecp5_12x12", 12, 12, multiplier="ecp5_dsp", product_stages=2, gate_stages=1, adder_stages=2,
            memory="ecp5_block", memory_stages=3),
    _config("up5k_4x4", 4, 4, accumulator_depth=256, multiplier="ice40_dsp", memory_stages=2),
    _config("tpu_v1_unit", 256, 256, accumulator_depth=4096),
    _config("tpu_v2_unit", 128, 128, BF16, accumulator_depth=4096),
]}


def preset(name: str) -> Config:
    """The preset of that name.

    Raises
    ------
    ConfigError
        If there is none; the message lists those there are.
    """
    require_one_of("config", PRESETS, name)
    return PRESETS[name]
