"""Readable Verilog: the same circuit as what Yosys wrote, in every bit, as Yosys itself proves."""

import functools
import random
import re
import subprocess
import sys

import pytest

from systolic import verilog
from systolic.config import PRESETS, Arch, Config, Impl
from systolic.readable import readable
from systolic.tops import MatrixUnitTop, TpuTop
from systolic.tpu_config import TPU_PRESETS, TpuConfig

NUMBERED = re.compile(r"\b_\d+_\b")

SMALL = {name: (PRESETS | TPU_PRESETS)[name] for name in ("int8_8x8", "bf16_4x4", "ecp5_8x8", "up5k_4x4", "tpu_4x4")}
SMALL["int8_3x5"] = Config(name="int8_3x5", arch=Arch(rows=3, cols=5), impl=Impl(memory="distributed"))


# Proof


def modules(text):
    return dict(re.findall(r"^module (\w+)(.*?)^endmodule$", text, re.MULTILINE | re.DOTALL))


def registers(body):
    """Registers and memories in the order of their declarations: name by declaration without it."""
    found = re.findall(r"^  reg( signed)?( \[\d+:0\])? (\w+)(.*);$", body, re.MULTILINE)
    return [(name, (signed, bits, re.sub(r"'h([0x])\1+$", r"'h\1", value))) for signed, bits, name, value in found]


def with_registers_of(before, after):
    """What Yosys wrote, with its numbered registers named as in the readable text; their initial values are equal."""
    old, new = registers(before), registers(after)
    assert [what for _, what in old] == [what for _, what in new]
    names = {one: other for (one, _), (other, _) in zip(old, new, strict=True) if one != other}
    assert all(NUMBERED.fullmatch(name) for name in names)
    return NUMBERED.sub(lambda match: names.get(match[0], match[0]), before)


def unproven(before, after, folder):
    """Signals of two texts that Yosys cannot prove equal, module by module: what goes into registers, memories and
    instances counts, too. Of several conditions that hold, the first counts, as in a simulation."""
    old, new = modules(before), modules(after)
    assert list(old) == list(new)
    gold = "".join(f"module gold_{name}{with_registers_of(body, new[name])}endmodule\n" for name, body in old.items())
    (folder / "gold.v").write_text(gold.replace("(* parallel_case *)", ""))
    (folder / "gate.v").write_text(after)
    (folder / "script.ys").write_text(
        "read_verilog -noopt gate.v\nread_verilog -noopt gold.v\nproc -noopt\nmemory_collect\nopt_expr -keepdc\n"
        + "opt_clean\nattrmap -remove init\n" + "".join(f"equiv_make gold_{name} {name} equiv_{name}\n" for name in new)
        + "select equiv_*\nopt_merge -share_all\nequiv_struct\nequiv_simple\nequiv_status\n")
    program = "from pyosys import libyosys as ys; ys.Pass.call(ys.Design(), 'script script.ys')"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    status = done.stdout.rpartition("Executing EQUIV_STATUS pass.")[2]
    assert len(re.findall(r"Found \d+ \$equiv cells in equiv_", status)) == len(new)
    return re.findall(r"Unproven \$equiv \S+ \\(\w+)_gold", status)


@functools.cache
def numbered(name):
    config = SMALL[name]
    return verilog._numbered(TpuTop(config) if isinstance(config, TpuConfig) else MatrixUnitTop(config))


@pytest.mark.parametrize("name", SMALL)
def test_every_module_is_what_yosys_wrote(name, tmp_path):
    before = numbered(name)
    assert NUMBERED.search(before)
    assert not unproven(before, readable(before), tmp_path)


def planted(text):
    """An error in each sort of expression: one text each."""
    for good, bad in [
            (r" \+ 1'h1;", " + 2'h2;"), (r" & ", " | "), (r" \? ", " ^ 1'h1 ? "), (r"\$signed\(psum\)", "psum"),
            (r"if \((\w+)\) more", r"if (~\1) more"), (r"(\.rst\(rst) \| ", r"\1 & ")]:
        changed = re.sub(good, bad, text, count=1)
        if changed != text:
            yield changed


def test_a_planted_error_is_found(tmp_path):
    errors = list(planted(readable(numbered("int8_3x5"))))
    assert len(errors) > 3
    for text in errors:
        assert unproven(numbered("int8_3x5"), text, tmp_path)


# Widths: what Verilog makes of an operation depends on what is around it.


INPUTS = {"a": 4, "b": 4, "c": 6, "s": 1, "clk": 1}


def module(lines, name="module_0", inputs=INPUTS, output=8):
    """A module as Yosys writes it, with an output y of so many bits."""
    declared = [f"{kind} {bits(width)}{each};" for each, width in inputs.items() for kind in ("input", "wire")]
    body = [*declared, f"output {bits(output)}y;", f"wire {bits(output)}y;", *lines]
    return f"module {name}({', '.join(inputs)}, y);\n{''.join(f'  {line}{chr(10)}' for line in body)}endmodule\n"


def bits(width):
    return f"[{width - 1}:0] " if width > 1 else ""


CHOICE = """\
function [3:0] _9_;
    input [3:0] a;
    input [7:0] b;
    input [1:0] s;
    (* parallel_case *)
    casez (s)
      2'b?1:
        _9_ = b[3:0];
      2'b1?:
        _9_ = b[7:4];
      default:
        _9_ = a;
    endcase
  endfunction"""

#: Two numbered wires, what they are, the output; and what it would be without them if nobody thought of widths.
TRAPS = {
    "carry shifted": ([5], ["a + b"], "_0_ >> 1'h1", "{ 4'h0, a + b } >> 1'h1"),
    "carry beside": ([5], ["a + b"], "{ 3'h0, _0_ }", "{ 3'h0, a + b }"),
    "carry lost": ([4], ["a + b"], "_0_ + c", "a + b + c"),
    "carry lost, chosen": ([4, 6], ["a + b", "{ 2'h0, _0_ }"], "s ? _1_ : c", "s ? a + b : c"),
    "carry compared": ([5], ["a + b"], "_0_ == 4'h9", "a + b == 4'h9"),
    "no carry compared": ([4], ["a + b"], "_0_ < c", "a + b < c"),
    "carry negated": ([4], ["a + b"], "! _0_", "!{ 1'h0, a + b + 5'h0 }"),
    "borrow": ([4], ["a - b"], "_0_ | c", "(a - b) | c"),
    "negative": ([4], ["- a"], "_0_ + c", "-a + c"),
    "inverted, extended": ([4], ["~ a"], "_0_ | c", "~a | c"),
    "inverted, compared": ([4], ["~ a"], "_0_ == c", "~a == c"),
    "inverted, parity": ([4], ["~ a"], "^ _0_", "^~a"),
    "inverted bit subtracted": ([1], ["~ s"], "c - _0_", "c - ~s"),
    "shifted beyond": ([4], ["c >> b"], "_0_ + a", "(c >> b) + a"),
    "shifted out": ([4], ["a << b"], "_0_ + c", "(a << b) + c"),
    "signed beside unsigned": ([6], ["$signed(a) + $signed(b)"], "_0_ & c", "($signed(a) + $signed(b)) & 8'hff"),
    "signed chosen": ([6], ["$signed(a) - $signed(b)"], "s ? _0_ : c", "s ? $signed(a) - $signed(b) : c"),
    "zero before a sign": ([5], ["{ 1'h0, a }"], "$signed(_0_) > $signed(b)", "$signed(a) > $signed(b)"),
    "product": ([8, 4], ["a * b", "_0_[7:4]"], "{ 4'h0, _1_ }", "{ a * b } >> 3'h4"),
    "first of several": ([2, 4], ["{ a[0], s }", "_9_(a, { b, c[3:0] }, _0_)"], "{ 4'h0, _1_ }",
                         "a[0] ? b : s ? c[3:0] : a"),
}


@pytest.mark.parametrize("widths, values, output, careless", TRAPS.values(), ids=TRAPS)
def test_widths_are_kept(widths, values, output, careless, tmp_path):
    """And the proof tells what is right from what is written without a thought of widths."""
    wires = [f"wire {bits(width)}_{number}_;" for number, width in enumerate(widths)]
    assigns = [f"assign _{number}_ = {value};" for number, value in enumerate(values)]
    functions = [CHOICE] if any("_9_" in value for value in values) else []
    text = module([*wires, *functions, *assigns, f"assign y = {output};"])
    assert not NUMBERED.search(readable(text))
    assert not unproven(text, readable(text), tmp_path)
    assert set(unproven(text, module([f"assign y = {careless};"]), tmp_path)) == {"y"}


SIGNED = ["wire signed [3:0] n;", "assign n = a;", "reg signed [3:0] m = 4'h0;", "always @(posedge clk)",
          "  m <= n;", "wire [3:0] _0_;", "wire [3:0] _1_;", "assign _0_ = m;", "assign _1_ = n;"]


@pytest.mark.parametrize("output, careless", [("s ? { 2'h0, _0_ } : c", "s ? m : $signed(c)"),
                                              ("{ 1'h0, _0_ } + { 1'h0, _1_ }", "m + n"), ("_1_ < _0_", "n < m")])
def test_declared_signs_do_not_count(output, careless, tmp_path):
    text = module([*SIGNED, f"assign y = {output};"])
    assert not unproven(text, readable(text), tmp_path)
    assert set(unproven(text, module([*SIGNED[:5], f"assign y = {careless};"]), tmp_path)) == {"y"}


@pytest.mark.parametrize("seed", range(3))
def test_random_modules_are_kept(seed, tmp_path):
    """Forty of them, of wires that use each other in every way that Yosys writes."""
    draw = random.Random(seed)
    text = "\n".join(random_module(draw, f"module_{k}") for k in range(40))
    assert not NUMBERED.search(readable(text))
    assert not unproven(text, readable(text), tmp_path)


def random_module(draw, name):
    inputs = {"a": 4, "b": 4, "c": 6, "d": 9, "s": 1, "t": 1, "clk": 1}
    wires, declared, assigns = {each: width for each, width in inputs.items() if each != "clk"}, [], []
    for number in range(draw.randrange(4, 16)):
        width = draw.choice([1, 1, 2, 4, 5, 6, 8, 11])
        declared.append(f"wire {bits(width)}_{number:02}_;")
        assigns.append(f"assign _{number:02}_ = {random_operation(draw, wires, width)};")
        wires[f"_{number:02}_"] = width
    draw.shuffle(assigns)
    clocked = ["reg [7:0] held = 8'h00;", "always @(posedge clk)",
               f"  if ({random_atom(draw, wires, 1)}) held <= 8'h00;",
               f"  else if (!{random_atom(draw, wires, 1)}) held <= {random_atom(draw, wires, 8)};"]
    used = set(NUMBERED.findall("".join(line.partition("=")[2] for line in [*clocked, *assigns])))
    results = {wire: width for wire, width in wires.items() if wire not in {*inputs, *used}} or {"c": 6}
    outputs = [*clocked, *assigns, f"assign y = {{ {', '.join(results)} }};"]
    return module([*declared, *outputs], name, inputs, sum(results.values()))


def random_operation(draw, wires, width):
    """The right-hand side of an assignment to so many bits."""
    def atom(*widths):
        return random_atom(draw, wires, draw.choice(widths or range(1, width + 3)))
    kind = draw.choice(["atom", "~", "-", "-", "$", "$", "+", "+", "&", "|", "^", "<<", ">>", "?", "?", "?", "*"]
                       if width > 1 else ["atom", "~", "!", "|", "&", "^", "<", "==", "$<", "and", "or", "?", "!="])
    if kind == "atom":
        return atom(width)
    if kind == "?":
        return f"{atom(1)} ? {atom(width)} : {atom(width)}"
    if kind in ("and", "or"):
        return f"{atom(1)} {'&' if kind == 'and' else '|'} {atom(1)}"
    if kind == "~" or width == 1 and kind in ("!", "|", "&", "^"):
        return f"{kind} {atom(width) if kind == '~' else atom(1, 2, 4, 6)}"
    if width == 1:
        one, other = (f"$signed({atom(1, 2, 4, 6)})" if kind[0] == "$" else atom(1, 2, 4, 6) for _ in range(2))
        return f"{one} {kind.removeprefix('$')} {other}"
    if kind == "$":
        return f"$signed({atom()}) {draw.choice('+-')} $signed({atom()})"
    if kind in ("<<", ">>"):
        return f"{atom(*range(1, width + 3))} {kind} {atom(1, 2, 3)}"
    return f"{atom(1, 2, 4)} * {atom(1, 2, 4)}" if kind == "*" else f"{atom()} {kind} {atom()}"


def random_atom(draw, wires, width):
    """So many bits: a signal, a part of one, a constant, or several of those side by side."""
    fitting = [name for name, have in wires.items() if have == width]
    wider = [name for name, have in wires.items() if have > width]
    kind = draw.choice(["name", "name", "name", "part", "constant", "cat"])
    if kind == "name" and fitting:
        return draw.choice(fitting)
    if kind == "cat" and width > 1:
        high = draw.randrange(1, width)
        return f"{{ {random_atom(draw, wires, high)}, {random_atom(draw, wires, width - high)} }}"
    if kind != "constant" and wider:
        name = draw.choice(wider)
        low = draw.randrange(wires[name] - width + 1)
        return f"{name}[{low + width - 1}:{low}]" if width > 1 else f"{name}[{low}]"
    return f"{width}'h{draw.getrandbits(width):x}"


# Text


def test_names_do_not_follow_from_numbers():
    """What changes elsewhere, and with it the numbers, changes nothing here."""
    text = numbered("bf16_4x4")
    other = NUMBERED.sub(lambda match: f"_{int(match[0].strip('_')) + 7000}_", text)
    assert other != text and readable(other) == readable(text)


def test_names_say_what_is_computed():
    text = readable(module([
        "wire _0_;", "wire [4:0] _1_;", "wire [3:0] _2_;", "wire [3:0] _3_;", "reg [3:0] count = 4'h0;",
        "reg [3:0] other;", "assign _0_ = a == 4'h3;", "assign _1_ = count + 1'h1;",
        "assign _2_ = s ? _1_[3:0] : b;", "assign _3_ = _0_ ? _2_ : a;", "always @(posedge clk)",
        "  if (_0_) count <= _2_;", "always @(posedge clk)", "  other <= _3_;", "assign y = { _3_, count };"]))
    assert re.findall(r"^  (?:wire .* =|assign y =|.*<=).*", text, re.MULTILINE) == [
        "  wire a_is_3 = a == 4'h3;",
        "  wire [3:0] count_next = s ? (count + 1'h1) : b;",
        "    if (a_is_3) count <= count_next;",
        "  wire [3:0] other_next = a_is_3 ? count_next : a;",
        "    other <= other_next;",
        "  assign y = { other_next, count };"]


def test_names_are_unique():
    """One that the description has already is left to it."""
    text = readable(module(["wire a_is_3;", "wire _0_;", "wire _1_;", "assign a_is_3 = b == 4'h3;",
                            "assign _0_ = a == 4'h3;", "assign _1_ = _0_ ^ s;", "assign y = { _0_, _1_, a_is_3 };"]))
    assert "  wire a_is_3_2 = a == 4'h3;" in text and "  assign a_is_3 = b == 4'h3;" in text


LOOP = ["wire [3:0] _0_;", "assign _0_[0] = s;", "assign _0_[3:1] = _0_[2:0] ^ a[3:1];", "assign y = { 4'h0, _0_ };"]
APART = ["wire [4:0] _0_;", "wire [3:0] low;", "assign { _0_[4], low } = a + b;", "assign _0_[3:0] = low;",
         "wire [7:0] _1_;", "assign _1_[6] = s;", "assign y = { _1_[6], 2'h0, _0_[4:3], low[2:0] };"]


@pytest.mark.parametrize("lines", [LOOP, APART])
def test_wires_assigned_in_parts(lines, tmp_path):
    """Also those that are made of bits of themselves."""
    text = module(lines)
    assert not NUMBERED.search(readable(text))
    assert not unproven(text, readable(text), tmp_path)


def test_instances(tmp_path):
    """Expressions go into inputs; a wire between two instances is named after its source."""
    inner = module(["assign y = a + b;"], name="inner", inputs={"a": 4, "b": 4})
    outer = module(["wire [3:0] _0_;", "wire [7:0] _1_;", "wire [7:0] _2_;", "assign _0_ = a ^ b;", "assign y = _2_;",
                    "inner first (", "  .a(_0_),", "  .b(c[3:0]),", "  .y(_1_)", ");",
                    "inner second (", "  .a(_1_[3:0]),", "  .b({ s, _1_[6:4] }),", "  .y(_2_)", ");"])
    better = readable(inner + "\n" + outer)
    assert "    .a(a ^ b),\n" in better and "    .a(first_y[3:0]),\n" in better
    assert not unproven(inner + "\n" + outer, better, tmp_path)


UNKNOWN = ["wire [3:0] _0_;", "wire [3:0] _1_;", "assign _0_ = a & b;", "assign _1_ = a % _0_;",
           "assign y = { _1_, _0_ };"]


def test_what_is_not_known_stays(tmp_path):
    """A line of another form is kept, with names for the numbers in it."""
    text = module(UNKNOWN)
    better = readable(text)
    assert not NUMBERED.search(better) and " = a % " in better
    assert not unproven(text, better, tmp_path)
