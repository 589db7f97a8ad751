"""``python -m cotutor``."""

from cotutor.cli import main

main()
