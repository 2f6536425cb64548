"""A board's whole top in simulation, at the pins: clock in, LEDs and serial line out, in nanoseconds.

The Verilog is what is synthesized, to the letter; the vendor's primitives are models. Verilator compiles it
with a bench that prints every change of an output pin; all else is read from these.
"""

import dataclasses
import os
import pathlib
import re
import tempfile

from systolic_sim.rtl import toolchain
from systolic_sim.rtl.primitives import models_for

from .pattern import program
from .uart import BAUD

__all__ = ["Outcome", "decode", "simulate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a board did.

    Parameters
    ----------
    lit : frozenset of str
        Roles of the LEDs that were on in the end.
    text : str
        What the serial port said.
    verdict : str
        ``PASS``, ``FAIL``, or an empty string if LEDs and text do not agree on either.
    """

    lit: frozenset
    text: str
    verdict: str

    @property
    def transcript(self):
        """Both as lines of text."""
        lines = [f"LEDs: {', '.join(sorted(self.lit)) or 'dark'}", self.text and f"serial port: {self.text.strip()}"]
        return "\n".join(filter(None, lines))


def simulate(design, *, fault=False, cache=None):
    """Run a board's self-test until its verdict, and until the serial port has told it once.

    Parameters
    ----------
    design : SelfTestDesign
    fault : bool
        Plant one, the same as :meth:`.SelfTestDesign.part` but in the very Verilog that is right.
    cache : path or None
        Folder for compiled models; ``None`` takes :func:`systolic_sim.rtl.toolchain.cache_folder`.

    Returns
    -------
    Outcome

    Raises
    ------
    ToolError
        If a program is missing or fails.
    """
    board, sources = design.board, "\n".join(design.part().sources.values())
    text = len(design.text("PASS")) + 2 if board.uart else 0
    cycles = 5000 + 3 * len(program(design.config))
    nanoseconds = cycles * 1e3 / board.clock.mhz + text * 10 * 1e9 / BAUD
    bench = _bench(design, nanoseconds)
    bench = str(_executable(bench + sources + models_for(sources), board.name, cache))
    output = toolchain.run([bench, *["+fault"] * fault])
    # By time: of several changes at once the last one counts.
    changes = {int(time): dict(zip(_outputs(design), map(int, levels), strict=True))
               for time, levels in re.findall(r"^(\d+) ([01]+)$", output, flags=re.MULTILINE)}
    lit = frozenset(port.removeprefix("led_") for port, level in changes[max(changes)].items()
                    if port.startswith("led_") and level != board.pins[port].invert)
    text = decode([(time, levels["tx"]) for time, levels in changes.items()]) if board.uart else ""
    return Outcome(lit=lit, text=text, verdict=_verdict(board, lit, text))


def _outputs(design):
    return [port for port in design.ports if port != "clk"]


def _verdict(board, lit, text):
    """What LEDs and text say, if it is the same."""
    if "verdict" in board.leds:
        shown = "PASS" if "verdict" in lit else "FAIL"
    else:
        shown = {("pass",): "PASS", ("fail",): "FAIL"}.get(tuple(sorted(lit - {"alive"})), "")
    told = text.split()[-1:] if board.uart else [shown]
    return shown if told == [shown] else ""


def decode(changes, baud=BAUD):
    """What a serial line says: eight bits, no parity, one stop bit.

    Parameters
    ----------
    changes : list of (int, int)
        Time in nanoseconds and level; the first is the level at the start.
    baud : int
        Bits a second.

    Returns
    -------
    str
        Bytes as Latin-1; U+FFFD where there is no stop bit.
    """
    bit = 1e9 / baud
    text, now, index = [], 0.0, 0
    while True:
        while index < len(changes) and (changes[index][0] < now or changes[index][1]):
            index += 1
        if index == len(changes):
            return "".join(text)
        start = changes[index][0]
        levels = [_level(changes, index, start + (number + 0.5) * bit) for number in range(10)]
        byte = sum(level << number for number, level in enumerate(levels[1:9]))
        text.append(chr(byte) if levels[9] and not levels[0] else "\ufffd")
        now = start + 9.5 * bit


def _level(changes, index, time):
    while index + 1 < len(changes) and changes[index + 1][0] <= time:
        index += 1
    return changes[index][1]


def _bench(design, nanoseconds):
    """Verilog of the module ``bench``; the time scale goes for all that follows."""
    board, outputs = design.board, _outputs(design)
    half = 500 / board.clock.pin_mhz
    return "\n".join([
        "`timescale 1ns/1ps", "module bench;", "  reg clk = 0;", f"  always #({half:.4f}) clk = ~clk;",
        f"  wire {', '.join(outputs)};",
        f"  {board.name} top({', '.join(f'.{port}({port})' for port in design.ports)});",
        f"  wire [{len(outputs) - 1}:0] pins = {{{', '.join(outputs)}}};",
        '  initial $display("%0d %b", $time, pins);',
        '  always @(pins) $display("%0d %b", $time, pins);',
        '  initial #1 if ($test$plusargs("fault")) top.selftest.fault = 1;',
        f"  initial #({nanoseconds:.0f}) $finish;", "endmodule", ""])


_VERILATOR = ("--cc", "--main", "--timing", "--prefix", "Vbench", "--top-module", "bench", "-O3", "--x-assign", "fast",
              "--x-initial", "fast", "--no-assert", "--quiet", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--Mdir", ".")
_COMPILER = ("-std=gnu++20", "-fcoroutines", "-UVM_TIMING", "-DVM_TIMING=1", "-DVM_TRACE=0")


def _executable(verilog, name, cache):
    """The compiled bench, from the cache if it is there."""
    cache = pathlib.Path(cache or toolchain.cache_folder()).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / f"{name}-{toolchain.content_hash(verilog, *_VERILATOR, *_COMPILER)}"
    if program.exists():
        return program
    runtime = [toolchain.runtime_object(f"verilated{part}", (*_COMPILER, "-O2"), cache)
               for part in ("", "_threads", "_timing")]
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as folder:
        folder = pathlib.Path(folder)
        (folder / "bench.v").write_text(verilog)
        toolchain.verilate(*_VERILATOR, "bench.v", cwd=folder)
        # What runs but once need not be fast.
        slow = {path.name for path in folder.glob("V*__Slow*.cpp")}
        objects = [_object(folder, "slow.cpp", slow, "-O0"),
                   _object(folder, "fast.cpp", {path.name for path in folder.glob("V*.cpp")} - slow, "-O1")]
        toolchain.run(["g++", "-o", "bench", *objects, *map(str, runtime), "-pthread", "-latomic"], folder)
        os.replace(folder / "bench", program)
    return program


def _object(folder, source, parts, optimisation):
    (folder / source).write_text("".join(f'#include "{name}"\n' for name in sorted(parts)))
    return toolchain.compile_cpp(folder, source, (*_COMPILER, optimisation))
