"""What is wrong with a program, found without running it: fields, regions, accesses, and what gets stuck."""
