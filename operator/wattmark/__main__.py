"""`wattmark-operator`: read the settings, set up the log, operate."""

import logging
import os
import sys

from wattmark.settings import InvalidSetting, from_environment


def main() -> int:
    """Run the operator; the exit code of the process."""
    try:
        settings = from_environment(os.environ)
    except InvalidSetting as invalid:
        print(invalid, file=sys.stderr)
        return 2
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kopf", "asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # kopf is imported late: a bad setting is told at once.
    from wattmark import handlers

    handlers.run(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
