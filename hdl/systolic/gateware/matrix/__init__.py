"""The matrix unit, and the reader that feeds it rows of activations."""
