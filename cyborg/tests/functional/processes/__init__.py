"""The service as a user runs it: separate processes, real servers, real HTTP."""
