"""The monitor of the TPU's bench takes what is allowed, and notices every rule that is broken."""

import dataclasses
import re

import pytest

from systolic.tpu_config import tpu_preset
from systolic_sim.benches.tpu_monitor import Monitor, ProtocolError

TPU = dataclasses.replace(tpu_preset("tpu_4x4"), bus_bytes=8, burst_beats=16, reads_in_flight=2,
                             writes_in_flight=2)
QUIET = dict.fromkeys(("ar", "r", "aw", "w", "b"), (False, False, ()))
BURST = (0x1000, 3, 3, 1)   # 4 beats of 8 bytes
SIXTEEN = (0x0F80, 15, 3, 1)


def taken(*payload):
    return True, True, payload


def waiting(*payload):
    return True, False, payload


def beat(last, data=0):
    return taken(data, 0xFF, last)


def run(*cycles):
    """A monitor that has seen these cycles, each a dict of what is not quiet."""
    monitor = Monitor(TPU)
    for cycle in cycles:
        monitor.cycle(QUIET | cycle)
    return monitor


def read(*, beats=4):
    return [{"r": taken(number, 0, int(number == beats - 1))} for number in range(beats)]


def write(*, beats=4):
    return [{"w": beat(int(number == beats - 1))} for number in range(beats)]


LEGAL = {
    "a read": [{"ar": waiting(*BURST)}, {"ar": taken(*BURST)}, *read()],
    "up to the end of a page": [{"ar": taken(*SIXTEEN)}, *read(beats=16)],
    "the next address with the last beat": [{"ar": taken(*BURST)}, {"ar": taken(*BURST)}, *read()[:3],
                                            read()[3], {"ar": taken(*BURST)}, *read(), *read()],
    "a write": [{"aw": taken(*BURST)}, *write(), {"b": taken(0)}],
    "address with the first beat": [{"aw": taken(*BURST)} | write()[0], *write()[1:], {"b": taken(2)}],
    "data before its address": [*write()[:2], {"aw": taken(*BURST)}, *write()[2:], {"b": taken(0)}],
    "two bursts of data before their addresses": [*write(), *write(beats=16), {"aw": taken(*BURST)},
                                                  {"aw": taken(*SIXTEEN)}, {"b": taken(0)}, {"b": taken(0)}],
    "a beat that waits": [{"aw": taken(*BURST)}, {"w": waiting(0, 0xFF, 0)}, *write(), {"b": taken(0)}],
    "another bus": [{"s_r": waiting(1, 0)}, {"s_r": taken(1, 0)}, {"s_r": taken(2, 0)}],
}

BROKEN = {
    "valid withdrawn": ([{"ar": waiting(*BURST)}, {}], "cycle 2: ar withdrawn"),
    "write data withdrawn": ([{"w": waiting(1, 0xFF, 0)}, {}], "w withdrawn"),
    "address changed": ([{"aw": waiting(*BURST)}, {"aw": taken(0x1008, 3, 3, 1)}], "aw changed"),
    "data changed": ([{"w": waiting(1, 0xFF, 0)}, {"w": waiting(1, 0xFF, 0)}, {"w": taken(2, 0xFF, 0)}],
                     "cycle 3: w changed"),
    "strobe changed": ([{"w": waiting(1, 0xFF, 0)}, {"w": taken(1, 0x7F, 0)}], "w changed"),
    "withdrawn on another bus": ([{"s_r": waiting(1, 0)}, {"s_r": (False, False, ())}], "s_r withdrawn"),
    "4 KB": ([{"ar": taken(0x0FF0, 2, 3, 1)}], "ar of 3 beats at 0xff0 crosses 4 KB"),
    "too long": ([{"aw": taken(0, 16, 3, 1)}], "aw of 17 beats"),
    "narrow": ([{"ar": taken(0, 0, 2, 1)}], "of size 2"),
    "FIXED": ([{"aw": taken(0, 0, 3, 0)}], "burst type 0"),
    "not aligned": ([{"ar": taken(4, 0, 3, 1)}], "0x4 not on a bus word"),
    "too many reads": ([{"ar": taken(*BURST)}, {"ar": taken(*BURST)}, {"ar": waiting(*BURST)}], "more than 2 bursts"),
    "too early a read": ([{"ar": taken(*BURST)}, {"ar": taken(*BURST)}, *read()[:3],
                          read()[3] | {"ar": waiting(*BURST)}], "cycle 6: ar asks for more"),
    "too many writes": ([{"aw": taken(*BURST)}, *write(), {"aw": taken(*BURST)}, {"aw": waiting(*BURST)}],
                        "cycle 7: aw begins more than 2 bursts"),
    "too early a write": ([{"aw": taken(*BURST)}, *write(), {"aw": taken(*BURST)},
                           {"b": taken(0), "aw": waiting(*BURST)}], "cycle 7: aw begins more"),
    "last too early": ([{"aw": taken(*BURST)}, *write(beats=3)], "w last is 1 in beat 3 of 4"),
    "last missing": ([{"aw": taken(*BURST)}, *write()[:3], {"w": beat(0)}], "w last is 0 in beat 4 of 4"),
    "never last": ([{"w": beat(0)}] * 17, "17 beats without last"),
    "data before its address too short": ([*write(beats=3), {"aw": taken(*BURST)}], "of 3 beats for an address of 4"),
    "data before its address too long": ([*write(beats=16)[:4], {"aw": taken(*BURST)}], "last missing in beat 4"),
    "response before the last beat": ([{"aw": taken(*BURST)}, *write()[:3], {"b": taken(0)}], "b before its burst"),
    "read data unasked": (read(beats=1), "r not asked for"),
    "read ends early": ([{"ar": taken(*BURST)}, *read(beats=3)], "r last is 1 with 1 beats to come"),
    "read does not end": ([{"ar": taken(*BURST)}, *read(beats=5)[:4]], "r last is 0 with 0 beats"),
}

UNFINISHED = {
    "a read": ([{"ar": taken(*BURST)}, *read()[:3]], "1 reads"),
    "data": ([{"aw": taken(*BURST)}, *write()[:3]], "writes without all data"),
    "an address": (write(), "1 data without address"),
    "a response": ([{"aw": taken(*BURST)}, *write()], "1 writes without response"),
    "an offer": ([{"ar": waiting(*BURST)}], "1 waiting"),
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal(name):
    run(*LEGAL[name]).finish()


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    cycles, complaint = BROKEN[name]
    run(*cycles[:-1])
    with pytest.raises(ProtocolError, match=re.escape(complaint)):
        run(*cycles)


@pytest.mark.parametrize("name", UNFINISHED)
def test_unfinished(name):
    cycles, complaint = UNFINISHED[name]
    monitor = run(*cycles)
    with pytest.raises(ProtocolError, match=re.escape(complaint)):
        monitor.finish()
    monitor.reset()
    monitor.finish()


def test_statistics():
    monitor = run({"ar": waiting(*SIXTEEN)}, {"ar": taken(*SIXTEEN)}, {"ar": taken(*BURST)}, *read(beats=16), *read(),
                  *LEGAL["a write"])
    assert monitor.bursts == {"ar": {4: 1, 16: 1}, "aw": {4: 1}}
    assert monitor.page_ends == {"ar": 1, "aw": 0} and monitor.waited == {"ar": 1}
    assert monitor.most_reads == 2 and monitor.reads == 0
    assert monitor.responses == {("r", 0): 20, ("b", 0): 1}
