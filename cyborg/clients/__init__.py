"""Other services as the conductor sees them: small, typed, and each failure one exception."""
