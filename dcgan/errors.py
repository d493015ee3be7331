"""Errors as one line: those that a user can mend hold theirs, `reason` words all others (hub_errors the Hub's)."""

import shutil


class UserError(Exception):
    """An error that the user can mend. The message is one line that says what to do; commands print it and return 2."""


class DataError(UserError):
    """Images that cannot be had. The message is one line that says what was looked for, what was found, what to do."""


def reason(error: BaseException) -> str:
    """What an exception says in one line: a UserError's own, or at most 300 characters of any other's first line."""
    if isinstance(error, UserError):
        return " ".join(str(error).split("\n"))
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"this needs the package {error.name}, which is not installed: pip install -r requirements.txt"
    if isinstance(error, shutil.Error):  # of copies that failed: a list of (source, target, why)
        _, file, why = error.args[0][0]
        return f"{why.partition(':')[0]}: {file!r}"
    if isinstance(error, OSError) and error.strerror:
        file = error.filename2 or error.filename  # the second is a copy's target
        return error.strerror + f": {str(file)!r}" * (file is not None)
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
