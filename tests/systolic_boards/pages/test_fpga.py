"""The table: entries that cannot be built do not stop the others, and every word of the page has its file."""

import argparse
from pathlib import Path

import pytest

from systolic.config import Arch, Config, Impl
from systolic.errors import UserError
from systolic.tpu_config import TpuConfig
from systolic_boards.devices import DEVICES
from systolic_boards.flow import store
from systolic_boards.flow.parts import PARTS, TPU_PARTS
from systolic_boards.pages import fpga as table

PAGE = (Path(__file__).parents[3] / "docs/fpga.md").read_text()


def entry(**options):
    config = Config(name="one", arch=Arch(rows=1, cols=1), impl=Impl(**options))
    return table.Entry(title=f"1x1 {options}", config=config, goal="any", device="ice40-hx8k", freq=50, patience=60,
                       picture="one.svg")


def run(*arguments):
    parser = argparse.ArgumentParser()
    table.add(parser.add_subparsers())
    args = parser.parse_args(["fpga-table", *arguments])
    return args.run(args)


@pytest.mark.needs("nextpnr")
def test_entries_that_cannot_be_built_are_rows_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(table, "_SEEDS", 1)
    monkeypatch.setattr(table, "ENTRIES", (entry(multiplier="ice40_dsp"), entry()))
    (tmp_path / "page.md").write_text(PAGE)
    assert run("--out", f"{tmp_path}/page.md", "--jobs", "1") == 0
    page = (tmp_path / "page.md").read_text()
    lost, built = [line for line in page.splitlines() if line.startswith("| 1x1")]
    assert "ice40-hx8k has 0 DSP, the design needs 1" in lost and lost.count("|") == built.count("|")
    fmax = float(built.split("**")[1])
    assert fmax > 50 and f"{fmax} / **{fmax}** / {fmax}" in built
    assert f"| {round(2 * fmax / 1000, 2)} |" in built
    assert page.count("routing.\n") == 1
    assert page.count("](one.svg)") == 1 and (tmp_path / "one.svg").read_text().startswith("<svg")
    assert "1 of 2" in capsys.readouterr().out

    run("--only", "ice40_dsp", "--out", f"{tmp_path}/other.md")
    assert not (tmp_path / "other.md").exists()


def test_the_row_says_what_its_frequency_is_worth():
    def speed(*errors, claimed=2, note=""):
        seeds = [{"error": error} if error else {} for error in errors]
        return table._speed(table.Result(entry(), {
            "fmax_mhz": {"min": 1, "median": 2, "max": 3}, "seeds": seeds, "claimed_mhz": claimed, "note": note}))
    five = 5 * [""]
    assert speed(*five) == "1 / **2** / 3"
    assert speed("", "") == "1 / **2** / 3 (2 seeds)" and speed("") == "1 / **2** / 3 (1 seed)"
    assert speed("", "no way") == "1 / **2** / 3 (1 of 2 routed)"
    assert speed(*five, claimed=1.5) == "1 / **2** / 3 (1.5 counted)"
    assert speed(*five, note="paths through MULT9X9 are not timed") == "1 / **2** / 3 (logic alone)"


def test_entries_are_sound():
    assert len({entry.title for entry in table.ENTRIES}) == len(table.ENTRIES)
    for given in table.ENTRIES:
        tpu = isinstance(given.config, TpuConfig)
        assert given.device in DEVICES and given.part in (TPU_PARTS if tpu else PARTS) and given.goal
        arch = (given.config.matrix if tpu else given.config).arch
        assert f"{arch.rows}x{arch.cols}" in given.title and arch.format.name in given.title
        assert not tpu or f"{given.config.lanes} lanes" in given.title


def test_every_mapping_has_its_section():
    assert [name for name in Impl.MULTIPLIERS if name != "generic" and f"### `{name}`" not in PAGE] == []


def test_only_names_what_there_is():
    with pytest.raises(UserError, match="--only must be part of a title, not '9x9x9'"):
        run("--only", "9x9x9")
