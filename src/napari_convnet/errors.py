"""What a person may get wrong, in words that a person can act on.

There are two families of exceptions: `UserError` (the input was wrong; the message is shown as it is,
without a traceback) and everything else (a bug, which keeps its traceback).
"""

from __future__ import annotations


class UserError(ValueError):
    """Input that cannot be used, said in the form: what happened, what is safe, what to do next.

    Parameters
    ----------
    code
        Catalogue code such as ``"CN-103"``; tests and support refer to it, users need not.
    message
        At most 300 characters of plain text that names the file or layer.
    details
        Anything longer, shown on request only.
    """

    def __init__(self, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
