"""What needs privileges, and nothing else: see :mod:`cyborg.drivers.host.verbs`."""
