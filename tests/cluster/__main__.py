"""Command line: python3 -m tests.cluster COMMAND."""

import sys

from tests.cluster.commands import main

sys.exit(main(sys.argv[1:]))
