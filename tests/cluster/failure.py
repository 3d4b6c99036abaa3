"""The one error that users see."""


class ClusterError(Exception):
    """Something that the user has to know: what went wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}" if remedy else what)
