"""``python -m purgekit``."""

from purgekit.cli import main

main()
