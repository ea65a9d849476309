"""The HTTP API: validates, authorises, reads, and sends each change to the conductor."""
