"""Options that choose what to build: a preset, single parameters, or a preset with some of them changed."""

import dataclasses
import inspect
import re

from ..config import PRESETS, Arch, Config, Impl, preset
from ..errors import ConfigError
from ..tpu_config import TPU_PRESETS, TpuConfig, tpu_preset

__all__ = ["add_config_arguments", "add_json_argument", "add_tpu_arguments", "complete", "config_from", "tpu_from"]

_PARAMETERS = ("lanes", "buffer_size", "bus_bytes", "burst_beats", "reads_in_flight", "writes_in_flight",
               "roundings")


def add_json_argument(parser):
    """The option ``--json`` of a command that prints figures and keeps them as ``args.figures``."""
    parser.add_argument("--json", metavar="FILE",
                        help="write the figures as JSON; - for standard output, in place of the text")


def complete(action, names):
    """Let a shell complete the value of an option, which may be another; names, or a function that finds them."""
    action.completer = lambda **_: list(names() if callable(names) else names)


def add_config_arguments(parser):
    """Options that choose a configuration: a preset, single parameters, or a preset with some of them changed."""
    complete(parser.add_argument("--config", metavar="PRESET", help=f"preset to start from: {', '.join(PRESETS)}"),
             PRESETS)
    parser.add_argument("--name", help="name of the top module and the files (the preset's, or format and shape)")
    for group, kind in (("architecture", Arch), ("implementation", Impl)):
        options = parser.add_argument_group(group)
        for field in dataclasses.fields(kind):
            integer = "int" in str(field.type)
            options.add_argument(_option(field.name), type=int if integer else str,
                                 metavar="N" if integer else "X", help=_parameter_text(kind, field.name))


def add_tpu_arguments(parser):
    """Options that choose a TPU, beside those of :func:`add_config_arguments`: a preset and what differs from it."""
    options = parser.add_argument_group("TPU")
    complete(options.add_argument("--tpu", metavar="PRESET", help="build a whole TPU instead of a matrix unit, "
                                  f"starting from a preset: {', '.join(TPU_PRESETS)}"), TPU_PRESETS)
    for name in _PARAMETERS:
        options.add_argument(_option(name), type=int, metavar="N", help=_parameter_text(TpuConfig, name))


def _option(parameter):
    return "--" + parameter.replace("_", "-")


def _parameter_text(kind, name):
    """What the docstring of ``kind`` says of a parameter."""
    section = inspect.cleandoc(kind.__doc__).partition(f"\n{name} : ")[2]
    text = re.split(r"\n(?! )", section.partition("\n")[2])[0]
    default = next(field.default for field in dataclasses.fields(kind) if field.name == name)
    known = "" if default in (None, dataclasses.MISSING) else f" ({getattr(default, 'name', default)}, or the preset's)"
    return (" ".join(text.split()) + known).replace("``", "").replace("%", "%%")


def config_from(args):
    """The configuration that the options of :func:`add_config_arguments` describe.

    Raises
    ------
    ConfigError
        If a value is out of range, or neither a preset nor a shape is given.
    """
    if args.config is not None:
        base = preset(args.config)
        arch, impl = _with_options(base, args)
        changed = (arch, impl) != (base.arch, base.impl_as_given)
    else:
        given = _given(args, Arch)
        if missing := [f"--{name}" for name in ("rows", "cols") if name not in given]:
            raise ConfigError(f"give --config, or {' and '.join(missing)}; presets are {', '.join(PRESETS)}")
        arch, impl, changed = Arch(**given), Impl(**_given(args, Impl)), True
    default = f"{arch.format.name}_{arch.rows}x{arch.cols}" if changed else args.config
    return Config(arch=arch, impl=impl, name=default if args.name is None else args.name)


def tpu_from(args, implement=None):
    """The TPU that the options of :func:`add_tpu_arguments` describe, or None if they do not ask for one.

    Parameters
    ----------
    args : argparse.Namespace
    implement : callable(TpuConfig) or None
        Gives the TPU with an Impl of its own, if there are no options for any of that.

    Raises
    ------
    ConfigError
        If a value is out of range, or there are options of a TPU but no preset that they change.
    """
    given = {name: value for name in _PARAMETERS if (value := getattr(args, name)) is not None}
    if args.tpu is None:
        if given:
            raise ConfigError(f"{_option(next(iter(given)))} is of a TPU: give --tpu, one of {', '.join(TPU_PRESETS)}")
        return None
    if args.config is not None:
        raise ConfigError(f"--tpu {args.tpu} has a matrix unit: change its parameters in place of --config")
    base = tpu_preset(args.tpu)
    arch, impl = _with_options(base.matrix, args)
    changed = given or (arch, impl) != (base.matrix.arch, base.matrix.impl_as_given)
    name = args.name or (f"tpu_{arch.rows}x{arch.cols}_variant" if changed else base.name)
    unit = Config(arch=arch, impl=impl, name=f"{name}_unit")
    tpu = dataclasses.replace(base, matrix=unit, name=name, **given)
    return tpu if implement is None or _given(args, Impl) else implement(tpu)


def _given(args, kind):
    """Options of the command line that are parameters of ``kind``."""
    return {field.name: value for field in dataclasses.fields(kind) if (value := getattr(args, field.name)) is not None}


def _with_options(base, args):
    """Both parts of a configuration, with the options of the command line."""
    return (dataclasses.replace(base.arch, **_given(args, Arch)),
            dataclasses.replace(base.impl_as_given, **_given(args, Impl)))
