"""Out of context: any module between two shift registers, so that a design with more ports than pins can be placed.

::

    si ──▶ shift ──▶ inverted capture ──▶ design ──▶ output register ──▶ XOR tree, a register a level ──▶ so

Every path of the design is then from register to register. The inversion keeps synthesis from taking the shift
register for the design's own input registers. Reset is an input like any other.
"""

import dataclasses
import math

__all__ = ["Port", "TOP", "harness"]

TOP = "harness"
_FANIN = 4


@dataclasses.dataclass(frozen=True)
class Port:
    """A port of a module: its name, ``"input"`` or ``"output"``, and its width in bits."""

    name: str
    direction: str
    width: int


def harness(top, ports, *, clock="clk"):
    """Verilog of the module ``harness``, with ports ``clk``, ``si`` and ``so``, around an instance ``dut``.

    Parameters
    ----------
    top : str
        Name of the design's module.
    ports : list of Port
        Its ports.
    clock : str
        Which of them is the clock.

    Returns
    -------
    str
        Verilog-2005.

    Raises
    ------
    ValueError
        If the design has no clock of that name, or nothing beside it to drive or to see; or a port is
        neither an input nor an output.
    """
    inputs = [port for port in ports if port.direction == "input" and port.name != clock]
    outputs = [port for port in ports if port.direction == "output"]
    for port in ports:
        if port.direction not in ("input", "output"):
            raise ValueError(f"port {port.name} of {top} must be an input or an output, not {port.direction}")
    if not any(port.name == clock and port.direction == "input" for port in ports):
        raise ValueError(f"module {top} has no input {clock}")
    if not inputs or not outputs:
        raise ValueError(f"module {top} needs an input beside {clock} and an output")
    connections = [f".{clock}(clk)", *_slices(inputs, "capture"), *_slices(outputs, "o")]
    last = _last_bit(inputs)
    lines = [
        f"module {TOP}(input clk, input si, output so);",
        f"  reg [{last}:0] shift, capture;",
        "  always @(posedge clk) begin",
        f"    shift <= {f'{{shift[{last - 1}:0], si}}' if last else 'si'};",
        "    capture <= ~shift;",
        "  end",
        f"  wire [{_last_bit(outputs)}:0] o;",
        f"  {top} dut({', '.join(connections)});",
        *_tree(_last_bit(outputs) + 1),
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _last_bit(ports):
    return sum(port.width for port in ports) - 1


def _slices(ports, vector):
    """Connections of ports, one behind the other, to a vector."""
    start = 0
    for port in ports:
        yield f".{port.name}({vector}[{start + port.width - 1}:{start}])"
        start += port.width


def _tree(width):
    """Lines of Verilog that register the vector ``o`` and reduce it to ``so``."""
    yield f"  reg [{width - 1}:0] q0;"
    yield "  always @(posedge clk) q0 <= o;"
    level = 0
    while width > 1:
        groups = math.ceil(width / _FANIN)
        yield f"  reg [{groups - 1}:0] q{level + 1};"
        yield "  always @(posedge clk) begin"
        for group in range(groups):
            last = min(width, _FANIN * (group + 1)) - 1
            yield f"    q{level + 1}[{group}] <= ^q{level}[{last}:{_FANIN * group}];"
        yield "  end"
        width, level = groups, level + 1
    yield f"  assign so = q{level}[0];"
