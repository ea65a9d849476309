"""Messages between the processes: the transport, and a typed client of each side."""
