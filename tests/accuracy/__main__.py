"""Command line: python -m tests.accuracy. Prints how far estimates are from measurements, and puts it into the page."""

import sys

from tests.accuracy.data import ROOT, components, points
from tests.accuracy.table import tables

PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- python -m tests.accuracy -->\n", "\n<!-- end -->\n"


def main() -> int:
    """Print the tables and write them between the page's markers."""
    found = tables(points(), components())
    print(found)
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has lost its markers: nothing was written")
    PAGE.write_text(f"{before}{BEGIN}{found}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
