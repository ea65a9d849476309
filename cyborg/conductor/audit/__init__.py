"""The audit: what the database, Placement and Nova say of the same things, compared.

:func:`cyborg.conductor.audit.database.database_disagreements` is the invariants of the database
in one function, for the command, the tests and the runs with faults.
"""
