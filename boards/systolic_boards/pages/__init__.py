"""Pages and pictures of docs/ that the flow's results fill."""
