"""Proofs of components: properties beside them, and an engine that finds them true in every state there can be."""
