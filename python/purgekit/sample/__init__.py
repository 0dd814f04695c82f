"""The sample identity database of ``purgekit demo``."""
