"""Everything that runs the design without hardware."""
