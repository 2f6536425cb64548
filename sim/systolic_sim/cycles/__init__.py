"""The boxes of a TPU as registers in plain Python: each output in each cycle, without the data.

A model has an attribute for each output, a function of its state; ``step`` takes the inputs of one cycle and goes
on to the next. Valid and payload of a stream are one attribute or argument, ``None`` where there is nothing.
"""
