"""The fake driver: devices that do not exist, and what they hold."""
