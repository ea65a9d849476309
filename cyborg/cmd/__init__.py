"""The commands. Importing this package keeps eventlet out of the process."""

import cyborg.no_eventlet  # noqa: F401 -- must come before every other import
