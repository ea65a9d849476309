"""The commands' own code."""
