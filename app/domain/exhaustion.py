"""Exhaustion: errors that say that the machine has run out of something, whatever photograph was at hand."""

from __future__ import annotations

import errno

_BY_NUMBER = {
    errno.EMFILE: "open files",
    errno.ENFILE: "open files",
    errno.ENOMEM: "memory",
    errno.EAGAIN: "processes",
}
# Libraries say it in words of their own: CPython, ONNX Runtime and the C++ library below it, OpenCV.
_BY_WORDS = {
    "can't start new thread": "threads",
    "failed to allocate memory": "memory",
    "bad_alloc": "memory",
    "bad allocation": "memory",
    "out of memory": "memory",
    "insufficient memory": "memory",
    "too many open files": "open files",
}


def what_ran_out(error: BaseException | None) -> str | None:
    """What the machine has run out of, by an error or what it came from; None for any other error."""
    while error is not None:
        if isinstance(error, MemoryError):
            return "memory"
        if isinstance(error, OSError) and error.errno in _BY_NUMBER:
            return _BY_NUMBER[error.errno]
        said = str(error).lower()
        for words, what in _BY_WORDS.items():
            if words in said:
                return what
        error = error.__cause__
    return None
