"""The instruction set of a TPU: one table, from which everything else that knows it follows.

``model``      fields, regions, instructions, error codes
``catalog``    the table of instructions
``codec``      operations to bytes and back, and what can be said of one without running it
``text``       the assembler and its reverse
``page``       docs/isa.md

An instruction is 64 bytes, sixteen little-endian words of 32 bits, on a 64-byte boundary. Bits that belong to
no field are reserved and zero. Every access an instruction makes lies in the regions it declares; it is stopped with
an error before one that does not.
"""

from .catalog import INSTRUCTIONS
from .codec import Operation, by_opcode, decode, encode, most, operation, overlaps, used_bits
from .model import (
    BYTES,
    RECORD_BYTES,
    ROUNDINGS,
    TABLE_BYTES,
    UNITS,
    ErrorCode,
    Field,
    Instruction,
    IsaError,
    Region,
)
from .page import document
from .text import assemble, disassemble

__all__ = [
    "BYTES", "ErrorCode", "Field", "INSTRUCTIONS", "Instruction", "IsaError", "Operation", "RECORD_BYTES",
    "ROUNDINGS", "Region", "TABLE_BYTES", "UNITS", "assemble", "by_opcode", "decode", "disassemble", "document",
    "encode", "most", "operation", "overlaps", "used_bits",
]
