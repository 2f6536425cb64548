"""Behavioural models of the vendor primitives that the gateware instantiates.

With them the very Verilog that is synthesized can be simulated. A model covers what the gateware uses of its
primitive and stops the simulation at any other setting.
"""

import importlib.resources
import re

__all__ = ["models_for"]


def models_for(verilog: str) -> str:
    """Verilog of the models of all primitives that a text instantiates, of what these share, and nothing else."""
    files = importlib.resources.files(__name__)
    models = {file.name.removesuffix(".v"): file for file in files.iterdir() if file.name.endswith(".v")}

    def instantiated(text: str) -> dict[str, str]:
        used = re.findall(r"^ +([A-Z][A-Z0-9_]+) (?:#\(|\S+ \()", text, re.MULTILINE)
        return {name: models[name].read_text() for name in used if name in models}
    found = instantiated(verilog)
    for text in list(found.values()):
        found |= instantiated(text)
    return "".join("\n" + found[name] for name in sorted(found))
