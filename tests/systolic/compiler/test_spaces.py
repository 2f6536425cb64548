"""Regions: inside the space, aligned, and never two of a byte."""

import random

import pytest

from systolic.compiler import CompileError
from systolic.compiler.spaces import Region, Space


def test_lowest_first():
    space = Space("memory", size=100, alignment=8)
    first, second, third = (space.take(size) for size in (5, 16, 8))
    assert [first, second, third] == [Region(0, 5), Region(8, 16), Region(24, 8)]
    space.free(second)
    assert space.take(17) == Region(32, 17) and space.take(8) == Region(8, 8) and space.take(7) == Region(16, 7)
    assert space.peak == 49


@pytest.mark.parametrize("seed", range(20))
def test_never_two_of_a_byte(seed):
    rng = random.Random(seed)
    space, taken = Space("buffer", size=rng.randint(100, 400), alignment=rng.choice([1, 3, 16])), []
    for _ in range(300):
        if taken and rng.random() < 0.45:
            space.free(taken.pop(rng.randrange(len(taken))))
            continue
        size = rng.randint(1, 40)
        owned = {byte for each in taken for byte in range(each.base, each.end)}
        free = [base for base in range(0, space.size - size + 1, space.alignment)
                if owned.isdisjoint(range(base, base + size))]
        if free:
            taken.append(space.take(size))
            assert taken[-1] == Region(free[0], size)
        else:
            with pytest.raises(CompileError, match="size must be of bytes in a row that are free"):
                space.take(size)


def test_what_cannot_be_freed():
    space = Space("buffer", size=100, alignment=1)
    region = space.take(10)
    space.free(region)
    for wrong in (region, Region(0, 9)):
        with pytest.raises(CompileError, match="region must be one in use of the buffer"):
            space.free(wrong)


def test_parts():
    assert Region(10, 20).part(5, 15) == Region(15, 15)
    for offset, size in ((-1, 2), (5, 16), (3, -1)):
        with pytest.raises(CompileError, match="a part must lie within 20 bytes"):
            Region(10, 20).part(offset, size)
