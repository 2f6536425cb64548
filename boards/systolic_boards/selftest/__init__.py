"""A matrix unit that tests itself on a board."""
