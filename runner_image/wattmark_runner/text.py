"""Text of unknown origin, made fit to be shown: one line, printable, bounded."""

import re

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


def clean(text: str, limit: int) -> str:
    """One line of printable characters, at most `limit`; terminal, control and bidi characters are dropped."""
    line = " ".join(_ANSI.sub("", text).split())
    return shorten("".join(character for character in line if character.isprintable()), limit)


def shorten(text: str, limit: int) -> str:
    """The text's beginning, at most `limit` characters; where room allows, three dots say that it was cut."""
    if len(text) <= limit:
        return text
    return text[: limit - 3] + "..." if limit > 3 else text[:limit]
