"""The database: tables, one query module an aggregate, migrations.

The conductor alone writes. Statements are SQLAlchemy Core; what leaves this package
are the frozen records of :mod:`cyborg.domain.model`.
"""
