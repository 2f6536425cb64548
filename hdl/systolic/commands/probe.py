"""``systolic probe``: what a TPU behind a link says of itself."""

from ..tpu_config import TPU_PRESETS, tpu_preset
from .options import add_json_argument, complete

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("probe", help="ask a TPU what it is",
                                   description="Read the identification registers and the state of a TPU, and name the "
                                   "preset whose programs it executes.")
    parser.add_argument("--on", required=True, metavar="TARGET", help="serial:PORT, serial:PORT@BAUD, board:NAME, or "
                        "emulator")
    complete(parser.add_argument("--tpu", default="tpu_4x4", metavar="PRESET", help="what a simulation simulates "
                                 "(%(default)s)"), TPU_PRESETS)
    add_json_argument(parser)
    parser.set_defaults(run=_probe)


def _probe(args):
    from ..host import Driver  # only here: the command must not wait for numpy to print its help
    from ..runtime.links import open_link

    driver = Driver(open_link(args.on, tpu_preset(args.tpu), 1))
    found = driver.identify()
    state = next((name for name, value in driver.read_fields("STATUS").items() if value), "in no state")
    preset = next((name for name, each in TPU_PRESETS.items() if each.identity == found), None)
    args.figures = found | {"state": state, "preset": preset}
    for name, value in found.items():
        print(f"{name:18} {value:#010x}" if name == "build" else f"{name:18} {value:,}")
    print(f"{'state':18} {state}\n{'programs for':18} {preset or 'no preset'}")
    return 0
