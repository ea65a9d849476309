"""Who may do what: every route for every kind of caller, from one table."""
