"""Imported first by every entry point: this service runs on threads.

oslo.service depends on eventlet and futurist loads it wherever it is installed, so the
import is made to fail; and oslo.service must be told of threads before oslo.messaging
imports it.
"""

import sys

# A module that is None in sys.modules cannot be imported.
sys.modules["eventlet"] = None  # type: ignore[assignment]  # by design

from oslo_service import backend

backend.init_backend(backend.BackendType.THREADING)
