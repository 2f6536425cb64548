"""Components that are elaborated once: as modules of a library, and as they are in simulation."""

import re

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from systolic.gateware.shared import Library, Shared, place


class Register(Shared):
    """A register, with a port that is a vector of one and one of no bits at all."""

    module_name = "a_register"
    i: In(8)
    o: Out(data.ArrayLayout(8, 1))
    nothing: In(0)
    elaborated = 0

    def build(self, platform):
        Register.elaborated += 1
        m = Module()
        value = Signal(8, init=5)
        m.d.sync += value.eq(self.i)
        m.d.comb += self.o[0].eq(value)
        return m


class ResetRegister(Register):
    module_name = "a_reset_register"
    resets = True


class Inverter(Shared):
    module_name = "an_inverter"
    i: In(8)
    o: Out(8)

    def build(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


class Pair(Shared):
    """Shared modules within a shared module."""

    module_name = "a_pair"
    i: In(8)
    o: Out(8)

    def build(self, platform):
        m = Module()
        first, second = place(m, "first", Register()), place(m, "second", Register())
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), self.o.eq(second.o)]
        return m


def chain(*kinds):
    """Those components one behind the other; module, its input and its output."""
    m = Module()
    i, o = Signal(8, name="i"), Signal(8, name="o")
    value = i
    for k, kind in enumerate(kinds):
        stage = place(m, f"stage_{k}", kind())
        m.d.comb += stage.i.eq(value)
        value = stage.o
    m.d.comb += o.eq(value)
    return m, i, o


def convert(*kinds):
    library, (m, i, o) = Library(), chain(*kinds)
    return rtlil.convert(m, "top", library, ports=[i, o], emit_src=False), library.modules


def ports(text):
    return set(re.findall(r"wire (?:width \d+ )?(?:input|output) \d+ +\\(\w+)", text))


def test_elaborated_once_and_instantiated_as_often_as_placed():
    Register.elaborated = 0
    top, modules = convert(Register, Register, Register)
    assert Register.elaborated == 1 and list(modules) == ["a_register"]
    assert top.count(r"cell \a_register ") == 3
    assert re.findall(r"cell \\a_register \\(\w+)", top) == ["stage_0", "stage_1", "stage_2"]


def test_nested_modules_come_innermost_first():
    Register.elaborated = 0
    top, modules = convert(Pair, Register, Pair)
    assert list(modules) == ["a_register", "a_pair"] and Register.elaborated == 1
    assert modules["a_pair"].count(r"cell \a_register ") == 2 and top.count(r"cell \a_pair ") == 2


def test_ports_are_those_of_the_signature():
    """And the clock where there are registers, and the reset where they are reset."""
    _, modules = convert(Register, ResetRegister, Inverter)
    assert ports(modules["a_register"]) == {"i", "o", "clk"}
    assert ports(modules["a_reset_register"]) == {"i", "o", "clk", "rst"}
    assert ports(modules["an_inverter"]) == {"i", "o"}


def test_instances_connect_every_port():
    top, modules = convert(Register, ResetRegister, Inverter)
    for name, text in modules.items():
        instance = re.search(rf"cell \\{name} .*?\n  end", top, re.DOTALL).group()
        assert set(re.findall(r"connect \\(\w+)", instance)) == ports(text)


def test_what_is_never_reset_has_no_initial_value():
    _, modules = convert(Register, ResetRegister)
    assert r"\init" not in modules["a_register"] and r"\init" in modules["a_reset_register"]


def test_place_names_the_wires():
    top, _ = convert(Register)
    assert {"stage_0_i", "stage_0_o"} <= set(re.findall(r"wire width 8 \\(\w+)", top))


def test_libraries_are_independent():
    Register.elaborated = 0
    assert convert(Pair) == convert(Pair) and Register.elaborated == 2


def test_ordinary_in_simulation(simulate):
    m, i, o = chain(Pair, Inverter, ResetRegister)
    got = []

    async def testbench(ctx):
        for cycle in range(8):
            ctx.set(i, cycle + 1)
            got.append(ctx.get(o))
            await ctx.tick()
    simulate(m, testbench)
    assert got[3:] == [~value & 0xFF for value in (1, 2, 3, 4, 5)]
    assert got[0] == 5
