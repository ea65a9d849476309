"""The process on each compute host: it reports devices and works on them."""
