"""Errors of the Hugging Face Hub as one-line messages that say what to do."""

import re
import textwrap

from huggingface_hub import errors, get_token

from dcgan.errors import UserError, reason

LOG_IN = "`hf auth login`, or set HF_TOKEN"
# Raised by huggingface_hub for faults of the network, the Hub, the disk or a name.
HUB_ERRORS = (errors.HTTPError, OSError, ValueError, RuntimeError)


BY_STATUS = {
    401: f"the Hub does not know your token: {LOG_IN}",
    402: "the Hub wants a paid plan for it",
    403: f"the Hub forbids it: your token may not do that there ({LOG_IN} with one that may)",
    429: "the Hub asks for patience after too many requests: try again in a few minutes",
}


class HubError(UserError):
    """An upload, a Space or a page that cannot be made. status: that of the Hub's answer, 0 where there is none."""

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status


def http_status(error: Exception) -> int:
    """The status of the answer that an exception is about; 0 where there is none."""
    return error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0


def is_unreachable(error: Exception) -> bool:
    """Whether an exception of HUB_ERRORS is that of a connection which was refused or broke off."""
    return isinstance(error, errors.HTTPError | ConnectionError) and not http_status(error)


def error_message(error: Exception, what: str) -> str:
    """An exception of HUB_ERRORS in one line without tokens. what: was used there, such as "model of that name"."""
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError):
        error = error.__cause__
    status = http_status(error)
    if isinstance(error, errors.GatedRepoError):
        return f"the {what} is gated: ask for access on its page on the Hub, then {LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError) or (status == 401 and get_token() is None):
        return f"the Hub has no {what}, or it is private and you are not logged in ({LOG_IN})"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the {what} has no such revision on the Hub"
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"you are not logged in to the Hub: {LOG_IN}"
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status >= 500:
        return f"the Hub itself is in trouble (status {status}): try again later"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"the Hub cannot be reached, and its cache has no whole {what}"
    if is_unreachable(error):
        return "the Hub cannot be reached"
    message = (isinstance(error, errors.HfHubHTTPError) and error.server_message) or str(error) or reason(error)
    return textwrap.shorten(re.sub(r"\?\S+", "", message), 300)  # queries sign addresses
