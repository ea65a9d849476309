"""A model of hardware: cards that move, break and keep traces, beside the conductor."""
