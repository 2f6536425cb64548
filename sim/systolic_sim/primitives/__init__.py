"""Behavioural models of the vendor primitives that the gateware instantiates.

With them the very Verilog that is synthesized can be simulated. A model covers what the gateware uses of its
primitive and stops the simulation at any other setting.
"""

import importlib.resources
import re

__all__ = ["models_for"]


def models_for(verilog):
    """Verilog of the models of all primitives that a text instantiates, and nothing else."""
    files = importlib.resources.files(__name__)
    models = {file.name.removesuffix(".v"): file for file in files.iterdir() if file.name.endswith(".v")}
    used = set(re.findall(r"^ +([A-Z][A-Z0-9_]+) (?:#\(|\S+ \()", verilog, re.MULTILINE))
    return "".join("\n" + models[name].read_text() for name in sorted(used & models.keys()))
