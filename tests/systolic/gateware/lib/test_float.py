"""Recoding and the floating-point adder, against the golden model."""

import random

import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from systolic.gateware.lib.float import FloatAdder, OperandDecoder, Psum, encode_psum
from systolic_sim.golden import bf16

SPECIAL_BF16 = [0x0000, 0x8000, 0x0001, 0x807F, 0x0080, 0x3F80, 0xBF80, 0x3FFF, 0xC07F, 0x7F7F, 0xFF7F,
                0x7F80, 0xFF80, 0x7FC0, 0x7F81]
SPECIAL_FP32 = [0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x80800000, 0x33800000, 0x3F7FFFFF,
                0x3F800000, 0xBF800001, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001]
VARIANTS = [(stages, registered) for stages in range(3, 9) for registered in (True, False)]


def products(a, w):
    """a * w rounded to fp32, as bits."""
    return bf16.fma(np.array(a, np.uint16), np.array(w, np.uint16), np.zeros(len(a), np.uint32)).tolist()


def with_exponents(rng, low, high):
    return rng.getrandbits(16) & 0x807F | rng.randint(low, high) << 7


def random_triples(rng, count):
    """a, w, psum of every kind in which a sum can go wrong."""
    def pairs(*ranges):
        return [tuple(with_exponents(rng, *each) for each in ranges) for _ in range(count)]

    triples = [(a, w, rng.getrandbits(32)) for a, w in pairs((0, 255), (0, 255))]
    # Psums a few units of the last place from minus the product: wholly or almost cancelled.
    close = pairs((1, 254), (90, 160))
    triples += [(a, w, (bits ^ 0x80000000) + rng.randint(-3, 3) & 0xFFFFFFFF)
                for (a, w), bits in zip(close, products(*zip(*close, strict=True)), strict=True)]
    # Ties, and what is next to one: the lowest bits of the product at half a unit of the psum.
    for a, w in pairs((120, 130), (120, 130)):
        exponent = (a >> 7 & 255) + (w >> 7 & 255) - 127 + rng.randint(8, 27)
        triples.append((a & 0xFFF0, w & 0xFFF0, rng.getrandbits(1) << 31 | exponent << 23
                        | rng.choice([0, 1, 2, 3, 0x7FFFFE, 0x7FFFFF])))
    # About the smallest and the largest numbers.
    triples += [(a, w, rng.getrandbits(32) & 0x81FFFFFF) for a, w in pairs((0, 70), (0, 66))]
    triples += [(a, w, rng.getrandbits(32) & 0x81FFFFFF | 0x7E000000) for a, w in pairs((187, 193), (187, 193))]
    return triples


def special_triples():
    return [(a, w, psum) for a in SPECIAL_BF16 for w in SPECIAL_BF16 for psum in SPECIAL_FP32]


def run_adder(simulate, adder, pairs):
    """Outputs by the cycle, for a new term and psum in every cycle."""
    got = []

    async def testbench(ctx):
        for term, psum in pairs + pairs[:1] * adder.stages:
            ctx.set(adder.term, term)
            ctx.set(adder.psum, psum)
            got.append(ctx.get(adder.o))
            await ctx.tick()
    simulate(adder, testbench)
    return got


def check_fma(simulate, recoded, adder, triples):
    pairs = [(recoded.term(a, w), recoded.psum(psum)) for a, w, psum in triples]
    latency = adder.stages if adder.registered else adder.stages - 1
    got = [recoded.fp32(o) for o in run_adder(simulate, adder, pairs)[latency:][:len(pairs)]]
    a, w, psum = zip(*triples, strict=True)
    want = bf16.fma(np.array(a, np.uint16), np.array(w, np.uint16), np.array(psum, np.uint32)).tolist()
    wrong = [(*map(hex, triple), hex(x), hex(y)) for triple, x, y in zip(triples, got, want, strict=True)
             if x != y]
    assert not wrong, f"{len(wrong)} of {len(want)} wrong, such as a, w, psum, got, want = {wrong[:5]}"


@pytest.mark.parametrize("stages, registered", VARIANTS)
def test_adder_latency_and_results(simulate, recoded, stages, registered):
    """One sum a cycle, L cycles later, or in cycle L - 1 if the last step is not registered."""
    rng = random.Random(stages)
    triples = random_triples(rng, 50) + rng.sample(special_triples(), 150)
    check_fma(simulate, recoded, FloatAdder(stages=stages, registered=registered), triples)


def test_adder_on_all_specials(simulate, recoded):
    check_fma(simulate, recoded, FloatAdder(stages=3), special_triples())


def test_adder_on_many_random_sums(simulate, recoded):
    check_fma(simulate, recoded, FloatAdder(stages=3), random_triples(random.Random(1), 1000))


def beside_products(rng, exponents, count):
    """Psums from minus the product to far from it, for products of exponents (of a and w together) in that range."""
    triples = []
    for _ in range(count):
        a = rng.randint(max(1, exponents[0] - 254), min(254, exponents[1] - 1))
        w = rng.randint(max(1, exponents[0] - a), min(254, exponents[1] - a))
        a, w = (exponent << 7 | rng.choice([0, 1, 127, rng.getrandbits(7)]) for exponent in (a, w))
        product, = products([a], [w])
        psums = [(product ^ 1 << 31) + rng.randint(-3, 3) & 0xFFFFFFFF,
                 product ^ 1 << 31 ^ rng.getrandbits(rng.randint(1, 23)),
                 rng.getrandbits(1) << 31 | 0x7F7FFFFF,
                 rng.getrandbits(1) << 31 | min(254, max(0, (product >> 23) + rng.randint(-30, 2))) << 23
                 | rng.choice([0, 1, 0x7FFFFF, rng.getrandbits(23)])]
        triples += [(a | rng.getrandbits(1) << 15, w, psum) for psum in psums] + [(a, w, psums[0])]
    return triples


@pytest.mark.parametrize("exponents", [(374, 390), (128, 170)])
def test_adder_at_the_ends_of_the_exponent(simulate, recoded, exponents):
    """Where the sum may round to infinity or come back from it, and where the normalising shift is cut short."""
    check_fma(simulate, recoded, FloatAdder(stages=4), beside_products(random.Random(6), exponents, 300))


def test_adder_on_two_psums(simulate, recoded):
    """As the accumulators use it: any fp32 number plus any other."""
    rng = random.Random(2)
    pairs = [(a, b) for a in SPECIAL_FP32 for b in SPECIAL_FP32]
    pairs += [(rng.getrandbits(32), rng.getrandbits(32)) for _ in range(200)]
    pairs += [(a, (a ^ 0x80000000) + rng.randint(-9, 9) & 0xFFFFFFFF) for a, _ in pairs[-200:]]
    pairs += [(a, (a & 0xFF800000) + (rng.randint(-25, 25) << 23) + rng.getrandbits(23) & 0xFFFFFFFF)
              for a, _ in pairs[-200:]]
    adder = FloatAdder(stages=5)
    got = run_adder(simulate, adder, [(recoded.psum(a), recoded.psum(b)) for a, b in pairs])
    a, b = zip(*pairs, strict=True)
    want = bf16.add(np.array(a, np.uint32), np.array(b, np.uint32)).tolist()
    assert [recoded.fp32(o) for o in got[adder.stages:][:len(pairs)]] == want


def test_adder_takes_either_form_of_a_negative_power_of_two(simulate, recoded):
    """-2**24 of one exponent is -2**23 of the next, on both inputs."""
    rng = random.Random(3)
    cases = []
    for exponent in (1, 2, 100, 126, 127, 252, 253):
        power = {"mantissa": -2**24, "exponent": exponent, "pos": 0, "neg": 0}
        bits = 1 << 31 | exponent + 1 << 23
        others = [0, 1, bits, bits ^ 1 << 31, bits + 1, (bits ^ 1 << 31) - 1, rng.getrandbits(30), 0x7F800000]
        cases += [(power, recoded.psum(other), bits, other) for other in others]
        cases += [(recoded.psum(other), power, bits, other) for other in others]
        cases.append((power, power, bits, bits))
    adder = FloatAdder(stages=4)
    got = run_adder(simulate, adder, [case[:2] for case in cases])
    want = bf16.add(*(np.array(column, np.uint32) for column in list(zip(*cases, strict=True))[2:])).tolist()
    assert [recoded.fp32(o) for o in got[adder.stages:][:len(cases)]] == want


def test_adder_rounds_up_to_a_power_of_two(simulate, recoded):
    """A carry out of the mantissa, of either sign, below and at the largest exponent."""
    # 0x...FFFFFF plus a quarter, a half (a tie, to even) and three quarters of a unit.
    triples = [(sign | exponent - 25 << 7 | fraction, 0x3F80, sign << 16 | exponent << 23 | 0x7FFFFF)
               for sign in (0, 0x8000) for exponent in (30, 128, 253, 254) for fraction in (0, 0x40)]
    triples += [(a + 0x80, w, psum) for a, w, psum in triples]
    check_fma(simulate, recoded, FloatAdder(stages=6), triples)


def test_overflow_of_either_sign_is_an_infinity(simulate, recoded):
    """-2**128 too, which fits the mantissa's form: nothing finite brings it back."""
    largest = 0x7F7FFFFF
    cases = [(sign | a, sign | b) for sign in (0, 1 << 31)
             for a, b in [(0x7F000000, 0x7F000000), (largest, 0x73000000), (largest, largest),
                          (0x7F7FFFFE, 0x73C00000)]]
    adder = FloatAdder(stages=3)
    got = run_adder(simulate, adder, [(recoded.psum(a), recoded.psum(b)) for a, b in cases])[3:]
    assert [(o.pos, o.neg) for o in got[:len(cases)]] == [(1, 0)] * 4 + [(0, 1)] * 4


def test_flags_are_sticky(simulate, recoded):
    """Whatever the numbers beside them, even a sum that overflows."""
    rng = random.Random(4)
    pairs = []
    for flags in range(16):
        for big in (False, True):
            term = recoded.psum(0x7F7FFFFF if big else rng.getrandbits(30))
            psum = recoded.psum((0x7F7FFFFF if big else rng.getrandbits(30)) | rng.getrandbits(1) << 31)
            pairs.append((term | {"pos": flags & 1, "neg": flags >> 1 & 1},
                          psum | {"pos": flags >> 2 & 1, "neg": flags >> 3}))
    adder = FloatAdder(stages=7)
    got = run_adder(simulate, adder, pairs)[adder.stages:]
    for (term, psum), o in zip(pairs, got[:len(pairs)], strict=True):
        if term["pos"] | psum["pos"] | term["neg"] | psum["neg"]:
            assert (o.pos, o.neg) == (term["pos"] | psum["pos"], term["neg"] | psum["neg"])


def test_decoder_knows_every_operand(simulate, recoded):
    decoder = OperandDecoder()
    got = []

    async def testbench(ctx):
        for bits in range(1 << 16):
            ctx.set(decoder.i, bits)
            got.append(ctx.get(decoder.o.as_value()))
    simulate(decoder, testbench, clocked=False)
    for bits, raw in enumerate(got):
        fields = recoded.operand(bits)
        # What an infinity's or a NaN's number is does not matter, but that it is not zero does.
        if fields["nan"] or fields["inf"]:
            assert (raw >> 18 & 1, raw >> 19) == (fields["nan"], fields["inf"]) and raw & 0x1FF, hex(bits)
        else:
            want = fields["mantissa"] & 0x1FF | (fields["exponent"] & 0x1FF) << 9
            assert raw == want, hex(bits)


def test_encode_psum(simulate, recoded):
    m = Module()
    psum, bits = Signal(Psum), Signal(32)
    m.d.comb += bits.eq(encode_psum(m, psum))
    rng = random.Random(5)
    patterns = SPECIAL_FP32 + [rng.getrandbits(32) for _ in range(500)] + [rng.getrandbits(24) for _ in range(100)]
    cases = [(recoded.psum(pattern), pattern) for pattern in patterns]
    cases += [({"mantissa": -2**24, "exponent": e, "pos": 0, "neg": 0}, 1 << 31 | e + 1 << 23)
              for e in (1, 2, 127, 253)]
    zero = np.zeros(len(cases), np.uint32)
    want = bf16.add(np.array([pattern for _, pattern in cases], np.uint32), zero).tolist()

    async def testbench(ctx):
        for (fields, _), expected in zip(cases, want, strict=True):
            ctx.set(psum, fields)
            assert ctx.get(bits) == expected, fields
    simulate(m, testbench, clocked=False)

