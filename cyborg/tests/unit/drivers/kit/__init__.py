"""The kit is asked itself: it lets a sound driver pass, and none that breaks a promise."""
