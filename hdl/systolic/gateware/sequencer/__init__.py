"""What takes a program from memory and issues its instructions."""
