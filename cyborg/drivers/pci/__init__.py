"""The generic PCI driver: whole functions and virtual ones, of whatever kind."""
