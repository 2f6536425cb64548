"""The claims of the README, measured."""
