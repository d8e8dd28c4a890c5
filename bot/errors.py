"""The error tree: by what the person who asked can do.

```text
RecollectError
├── InvalidRequest        fix it
│   ├── InvalidSettings
│   ├── UnreadableFile
│   └── AlreadyExists
├── Refused               accept it
│   ├── Unauthenticated
│   ├── NotFound
│   ├── Forbidden
│   └── TooManyRequests   … or wait, and ask less
├── ServiceUnavailable    wait
│   ├── DatabaseUnavailable
│   └── ModelUnavailable
└── Superseded            nothing: somebody else does it by now
    └── WorkspaceGone     … or nobody ever will
```

`str(error)` is for the log; `user_message` is shown to a person as it stands.
"""

from __future__ import annotations


class RecollectError(Exception):
    """Anything Recollect raises on purpose."""

    user_message = "Something went wrong on my side. Please try again in a moment."

    def __init__(self, message: str, *, user_message: str | None = None) -> None:
        super().__init__(message)
        if user_message is not None:
            self.user_message = user_message


class InvalidRequest(RecollectError):
    """The person can mend this by asking differently."""

    user_message = "I couldn't make sense of that. Please check it and try again."


class InvalidSettings(InvalidRequest):
    """The environment's settings don't fit together; `user_message` lists every problem, a line each."""


class UnreadableFile(InvalidRequest):
    """A file that can't become text; `user_message` is the reason stored with the document."""

    user_message = "I couldn't read this file."


class AlreadyExists(InvalidRequest):
    """A unique thing, an email address for one, is taken."""

    user_message = "That already exists."


class Refused(RecollectError):
    """The answer is no, and asking again won't change it."""

    user_message = "I can't do that."


class Unauthenticated(Refused):
    """Nobody knows who is asking: no key, or one that isn't valid."""

    user_message = "I don't know that API key. Send a valid one: Authorization: Bearer rk_…"


class NotFound(Refused):
    """It isn't there, or the asker may not know that it is."""

    user_message = "I couldn't find that."


class Forbidden(Refused):
    """The asker may know of it, not do this with it."""

    user_message = "You're not allowed to do that."


class TooManyRequests(Refused):
    """The asker, or everybody together, has asked for more than is theirs in so short a time.

    `retry_after_s`: after how many seconds the same request is let in.
    """

    user_message = "That was more than I take at once. Please try again in a while."

    def __init__(self, message: str, *, user_message: str | None = None, retry_after_s: float) -> None:
        super().__init__(message, user_message=user_message)
        self.retry_after_s = retry_after_s


class ServiceUnavailable(RecollectError):
    """Something we depend on doesn't answer; the same request may work later.

    `retry_after_s`: how long to leave it alone, by its own word; None when it gave none.
    """

    user_message = "Something I depend on isn't answering. Please try again in a moment."

    def __init__(self, message: str, *, user_message: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, user_message=user_message)
        self.retry_after_s = retry_after_s


class DatabaseUnavailable(ServiceUnavailable):
    """PostgreSQL can't be reached, or dropped the connection."""

    user_message = "My memory isn't reachable right now. Please try again in a moment."


class ModelUnavailable(ServiceUnavailable):
    """The language or embedding model doesn't answer, or answered nonsense."""

    user_message = "The language model isn't answering right now. Please try again in a moment."


class Superseded(RecollectError):
    """The work was taken on by somebody else, or withdrawn, since we began: nothing of ours may be written any more."""


class WorkspaceGone(Superseded):
    """The bot was uninstalled from the workspace: nothing of it may be read or written, whoever began what."""

    user_message = "I was removed from this workspace, and keep nothing of it. Install me again to start anew."
