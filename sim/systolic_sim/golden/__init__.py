"""Golden models: the definition of every result bit, in numpy alone.

======================  =============================================================================
``int8``                int8 products, int32 sums
``bf16``                bfloat16 products, fp32 sums in array order
``formats``             the two of them by number format, with random operands of each
``requantise``          int32 sums back to int8, in the three roundings runtimes use
``program``             streams for a matrix unit: products cut into tiles, and random programs
``matrix_unit``         the matrix unit: programs to results
======================  =============================================================================

Operands are ``int8`` numbers or ``uint16`` bit patterns of bfloat16; results are ``int32`` numbers or
``uint32`` bit patterns of fp32. Nothing here imports Amaranth.
"""
