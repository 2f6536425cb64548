"""Cycle models of a TPU's components in plain Python: each output in each cycle, without the data.

A model has an attribute for each output, which is a function of its state. ``step`` takes the inputs of one cycle and
advances to the next. Valid and payload of a stream are one attribute or argument, which is ``None`` if not valid.
"""
