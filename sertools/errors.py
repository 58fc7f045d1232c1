"""The errors that a user can mend."""


class UserError(Exception):
    """Something that the user can put right: a missing file, a typo, a broken corpus.

    The message names the file, the stage or program that should have made it, and what to do.
    Programs in ``local/`` print it without a traceback and exit with code 1.
    """


class MissingPackage(UserError):
    """An optional package that the task at hand needs is not installed."""

    def __init__(self, package: str, needed_for: str, how: str) -> None:
        super().__init__(f"{needed_for} needs the package {package}, which is not installed.  {how}")
