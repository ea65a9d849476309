"""The conductor: the only writer of the database. One module a use case."""
