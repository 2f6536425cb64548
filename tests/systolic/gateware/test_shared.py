"""Components that are elaborated once: as modules of a library, and as they are in simulation."""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from systolic.config import Arch, Config
from systolic.gateware.lib.queue import Queue
from systolic.gateware.matrix.skew import Skew
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


class Parameters(Shared):
    """A module of one name, whatever its parameters."""

    module_name = "parameters"
    o: Out(8)

    def __init__(self, value, *others, config=None, **options):
        super().__init__()
        self.value = value

    def build(self, platform):
        m = Module()
        m.d.comb += self.o.eq(1)
        return m


class Derived(Parameters):
    pass


def add(library, *components):
    for component in components:
        Fragment.get(component, library)
    return list(library.modules)


def config(**arch):
    return Config(arch=Arch(**{"rows": 2, "cols": 2} | arch))


@pytest.mark.parametrize("one, other, what", [
    (Parameters(3), Parameters(4), "value"),
    (Parameters(1), Parameters(True), "value"),
    (Parameters(1), Derived(1), "their types"),
    (Parameters(1), Parameters(1, 2), r"others, others\[0\]"),
    (Parameters(1), Parameters(1, option=2), r"options, options\['option'\]"),
    (Parameters({"a": 1, "b": 2}), Parameters({"b": 2, "a": 1}), "their order"),
    (Parameters([1, [2, 3]]), Parameters([1, [2, 4]]), r"value\[1\]\[1\]"),
    (Parameters(b"ab"), Parameters(bytearray(b"ab")), "value"),
    (Parameters(1, config=config(cols=3)), Parameters(1, config=config()), r"config\.arch\.cols"),
])
def test_two_descriptions_of_one_name_are_refused(one, other, what):
    """Their parameters are seen through, and both are shown."""
    library = Library()
    with pytest.raises(ValueError, match=(
            rf"not 'parameters' for both\n[^\n]+ and\n[^\n]+, which differ in {what}$")) as caught:
        add(library, one, other)
    assert f"\n{type(one).__name__}(value=" in str(caught.value)
    assert f"\n{type(other).__name__}(value=" in str(caught.value)
    assert list(library.modules) == ["parameters"]


def test_equal_descriptions_are_one_module():
    """However their parameters were given."""
    assert add(Library(), Parameters(1, config=config()), Parameters(value=1, config=config(rows=2))) == ["parameters"]
    assert add(Library(), Parameters([1, {"a": 2}]), Parameters([1, {"a": 2}])) == ["parameters"]


def test_a_description_is_that_of_when_it_was_made():
    values = [1, 2]
    one = Parameters(values)
    values.append(3)
    with pytest.raises(ValueError, match=r"value=\[1, 2\][^$]*value=\[1, 2, 3\]"):
        add(Library(), one, Parameters(values))


def test_parts_of_different_shape_have_different_names():
    """And say so."""
    queues = [Queue("q", width=width, depth=depth) for width, depth in ((8, 4), (8, 64), (16, 4))]
    names = [name for name in add(Library("some_"), *queues) if "storage" not in name and "credits" not in name]
    assert names == ["some_q_8x4", "some_q_8x64", "some_q_16x4"]
    kinds = [Queue("q", width=8, depth=4, stages=stages, ecp5=ecp5)
             for stages, ecp5 in ((1, False), (2, False), (2, True))]
    assert len({queue.module_name for queue in kinds}) == 3
    skews = [Skew("s", *shape, reverse=reverse)
             for shape in ((8, 17, 1), (8, 18, 1), (7, 17, 1), (8, 17, 2)) for reverse in (False, True)]
    assert len({skew.module_name for skew in skews}) == 8
    assert add(Library(), *skews, *kinds)


class Design(Parameters):
    """A whole design, perhaps with another in it."""

    def __init__(self, design, module_name="whole", inner=None):
        super().__init__(design)
        self.design = design
        self.module_name = module_name
        self.inner = inner

    def build(self, platform):
        m = Module()
        place(m, "part", self.inner or Inverter())
        return m


def test_designs_name_their_modules():
    """The outermost one, unless the library has a design of its own."""
    def designs():
        return Design("a", inner=Design("b", "part")), Inverter(), Design("b"), Design("c")
    assert add(Library("top_"), *designs()) == [
        "top_a_an_inverter", "top_a_part", "top_a_whole", "top_an_inverter", "top_b_an_inverter", "top_b_whole",
        "top_c_an_inverter", "top_c_whole"]
    assert add(Library("top_", design="d"), *designs()[:2]) == ["top_d_an_inverter", "top_d_part", "top_d_whole"]


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
