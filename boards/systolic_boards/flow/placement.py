"""Netlist to placed, routed and timed chip with nextpnr, once a seed."""

import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib
import re
import tempfile
import time

from systolic_sim.rtl.toolchain import ToolError

from . import floorplan, tools
from .progress import Progress
from .store import Step

__all__ = ["Placement", "place"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """What came of one seed.

    Parameters
    ----------
    seed : int
    error : str
        Why there is none; all that follows is then empty.
    report : dict
        nextpnr's own: ``fmax`` by clock, ``utilization``, ``critical_paths``.
    floor : list of [x, y, type, name]
        Where each cell is.
    log : str
        What nextpnr said.
    bitstream : bytes
        Empty out of context.
    seconds : float
        Time it took.
    """

    seed: int
    error: str = ""
    report: dict = dataclasses.field(default_factory=dict)
    floor: list = dataclasses.field(default_factory=list)
    log: str = ""
    bitstream: bytes = b""
    seconds: float = 0.0

    @property
    def fmax(self):
        """Highest frequency of the slowest clock in MHz; 0 if there is none."""
        return min((clock["achieved"] for clock in self.report.get("fmax", {}).values()), default=0.0)


def place(netlist, device, *, freq, seeds, jobs=2, constraints=None, timeout=None, cache=None, progress=None):
    """Place and route a netlist once for each seed.

    Parameters
    ----------
    netlist : str
        Yosys JSON, flat.
    device : Device
    freq : float
        Frequency to aim at, in MHz.
    seeds : iterable of int
    jobs, constraints, timeout, cache, progress
        See :func:`.flow.build`.

    Returns
    -------
    list of Placement
        In the order of the seeds.

    Raises
    ------
    ToolError
        If a tool is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="systolic-") as folder:
        run = _Run(netlist, device, freq, constraints, timeout, cache, folder, progress or Progress(show=False))
        with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
            futures = [pool.submit(run.seed, seed) for seed in seeds]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


class _Run:
    """The seeds of one netlist, in one folder."""

    def __init__(self, netlist, device, freq, constraints, timeout, cache, folder, progress):
        self.device = device
        self.freq = freq
        self.alone = constraints is None
        self.timeout = timeout
        self.cache = cache
        self.folder = pathlib.Path(folder)
        self.progress = progress
        family = device.family
        pins = constraints if not self.alone else "".join(
            family.pin.format(port=port, pin=pin) + "\n" for port, pin in device.pins.items())
        self.inputs = [hashlib.sha256(netlist.encode()).hexdigest(), pins, tools.version(family.place)]
        if not self.alone:
            self.inputs += [tools.version(family.pack), *device.packing]
        self.pins = f"pins.{family.constraints}"
        self.arguments = [*device.arguments, *(family.dense if floorplan.is_fixed(netlist) else ())]
        (self.folder / "netlist.json").write_text(netlist)
        (self.folder / self.pins).write_text(pins)

    def seed(self, seed):
        """The placement of a seed, from the cache or anew; what fails by itself is kept, what was stopped is not."""
        name = f"seed {seed}"
        arguments = self._arguments(seed)
        step = Step(self.cache, "place", *self.inputs, *arguments)
        found = step.load()
        if found is None:
            self.progress.update(name, "starting")
            start = time.monotonic()
            try:
                files = self._place(seed, arguments)
            except tools.ToolFailed as error:
                files = {"error": str(error)}
            except ToolError as error:
                self.progress.finish(name, str(error))
                return Placement(seed=seed, error=str(error))
            found = step.save(files | {"seconds": json.dumps(time.monotonic() - start)})
        placement = _placement(seed, found)
        self.progress.finish(name, placement.error or f"{placement.fmax:.1f} MHz in {placement.seconds:.0f} s")
        return placement

    def _arguments(self, seed):
        family = self.device.family
        himbaechel = "himbaechel" in family.place.wheel
        pins = ["--vopt", f"{family.constraints}={self.pins}"] if himbaechel else [f"--{family.constraints}", self.pins]
        if self.alone:
            pins += family.free
        chip = []
        if family.chip and not self.alone:
            chip = ["--vopt", f"{family.chip}=chip{seed}"] if himbaechel else [family.chip, f"chip{seed}"]
        return [*self.arguments, *pins, "--json", "netlist.json", "--freq", f"{self.freq:g}",
                "--seed", str(seed), "--timing-allow-fail", "--report", f"report{seed}.json",
                "--write", f"placed{seed}.json", *chip]

    def _place(self, seed, arguments):
        """Files of a new placement, as they are kept."""
        log = tools.run(self.device.family.place, arguments, self.folder, timeout=self.timeout,
                        line=lambda line: self.progress.update(f"seed {seed}", _phase(line)))
        placed = self.folder / f"placed{seed}.json"
        files = {"log": log, "report": (self.folder / f"report{seed}.json").read_text(),
                 "floor": json.dumps(_floor(json.loads(placed.read_text())))}
        if not self.alone:
            files["bitstream"] = self._pack(seed)
        placed.unlink()
        return files

    def _pack(self, seed):
        family = self.device.family
        names = {"chip": f"chip{seed}" if family.chip else f"placed{seed}.json", "bitstream": f"bitstream{seed}"}
        arguments = [argument.format(**names) for argument in family.packing]
        tools.run(family.pack, [*self.device.packing, *arguments], self.folder)
        return (self.folder / names["bitstream"]).read_bytes()


def _placement(seed, files):
    return Placement(
        seed=seed, error=files.get("error", b"").decode(), report=json.loads(files.get("report", "{}")),
        floor=json.loads(files.get("floor", "[]")), log=files.get("log", b"").decode(),
        bitstream=files.get("bitstream", b""), seconds=json.loads(files["seconds"]))


_PHASES = (
    (r"Preparing to run", "preparing the tool (only once)"),
    (r"Packing", "packing"),
    (r"Creating initial analytic placement|at iteration #(\d+)", "placing {}"),
    (r"(?:simulated annealing|at iteration #(\d+): temp)", "refining placement {}"),
    (r"Routing\.\.|^Info: +\d+ \|.*\| +(\d+)\| ", "routing {}"),
)


def _phase(line):
    """What nextpnr is doing when it prints a line, or an empty string if it does not say."""
    for pattern, text in reversed(_PHASES):
        if match := re.search(pattern, line):
            return text.format(match[1] or "" if match.re.groups else "").strip()
    return ""


def _floor(placed):
    """Place, type and name of each cell of a placed netlist."""
    floor = []
    for module in placed["modules"].values():
        for name, cell in module["cells"].items():
            if bel := re.match(r"X(\d+)/?Y(\d+)", cell["attributes"].get("NEXTPNR_BEL", "")):
                floor.append([int(bel[1]), int(bel[2]), cell["type"], name])
    return floor
