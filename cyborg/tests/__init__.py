"""Tests. Importing this package keeps eventlet out, as every entry point does."""

import cyborg.no_eventlet  # noqa: F401 -- must come before every other import
