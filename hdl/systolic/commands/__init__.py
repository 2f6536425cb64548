"""Subcommands of the ``systolic`` command that belong to the generator."""
