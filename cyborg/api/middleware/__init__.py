"""Filters by the names that the paste files of deployments give them."""
