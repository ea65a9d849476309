"""The pci driver on fake hosts, in the place of the invented drivers."""
