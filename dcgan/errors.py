"""What all errors that a user can mend have in common."""


class UserError(Exception):
    """An error that the user can mend. The message is one line that says what to do; commands print it and return 2."""
