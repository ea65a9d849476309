"""What people who run accelerators reported in public, as tests with the right values.

A module a kind of fault. A name that begins with ``test_a01`` is about the case of that number in
this project's collection of reports; one that begins with ``test_k1_own`` is a further example of
kind 1 that we found ourselves, and says where. Each is tried on every kind of database, through
the conductor's use cases, with reports as they cross the wire.
"""
