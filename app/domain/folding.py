"""Folding: what would only repeat an answer is shown inside it, and many photographs of an animal make one answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.domain.partition import NOBODY, Int64
from app.domain.ranking import Answers


def fold(keys: Int64) -> tuple[Int64, list[Int64]]:
    """Positions, best first, of the first row of each key in a ranked list, and for each the later rows of its key.

    A row without a key (NOBODY) stands for itself.
    """
    where: dict[int, int] = {}
    kept: list[int] = []
    folded: list[list[int]] = []
    for position, key in enumerate(keys.tolist()):
        if key != NOBODY and key in where:
            folded[where[key]].append(position)
            continue
        if key != NOBODY:
            where[key] = len(kept)
        kept.append(position)
        folded.append([])
    return np.asarray(kept, np.int64), [np.asarray(rows, np.int64) for rows in folded]


def folded(found: Answers, keys: Int64) -> Answers:
    """The best answer of each key (m), with the others of its key, and whatever was folded into them, inside it."""
    kept, inside = fold(keys)
    held = found.folded or ((),) * len(keys)
    names = found.annotations.tolist()
    shown = [
        (*held[first], *(one for row in rows.tolist() for one in (names[row], *held[row])))
        for first, rows in zip(kept.tolist(), inside, strict=True)
    ]
    return Answers(found.annotations[kept], found.likeness[kept], found.bridges[kept], tuple(shown))


def completed(found: Answers, annotations: Int64, keys: Int64) -> Answers:
    """A list whose answers hold all that shares their key, from annotations (m) with keys (m; NOBODY for none).

    What the ranking did not look at stands behind what it did, in order of id, and inside the best answer of its key.
    """
    held = found.folded or ((),) * len(found.annotations)
    looked = [(one, *inside) for one, inside in zip(found.annotations.tolist(), held, strict=True)]
    key_of = dict(zip(annotations.tolist(), keys.tolist(), strict=True))
    left: dict[int, list[int]] = {}
    for one in sorted(key_of.keys() - {one for answer in looked for one in answer}):
        left.setdefault(key_of[one], []).append(one)
    left.pop(NOBODY, None)
    whole = [
        (*answer, *(one for name in answer for one in left.pop(key_of.get(name, NOBODY), ()))) for answer in looked
    ]
    return replace(found, folded=tuple(answer[1:] for answer in whole))


def meetings(individuals: Int64, encounters: Int64) -> Int64:
    """One number for each encounter of an individual (m); NOBODY where either is not known."""
    known = (individuals != NOBODY) & (encounters != NOBODY)
    (_, whales), (names, met) = (np.unique(keys, return_inverse=True) for keys in (individuals, encounters))
    return np.where(known, whales * len(names) + met, NOBODY)


def joined(first: Int64, second: Int64) -> Int64:
    """One number (m) for rows that share a key of either kind, directly or through others; NOBODY for neither.

    A burst may reach over what a sheet calls two encounters: whoever shares a photograph with both joins them.
    """
    _, names = np.unique(second, return_inverse=True)
    names = np.where(second == NOBODY, len(second) + np.arange(len(second)), names)
    joins: dict[int, int] = {}

    def root(name: int) -> int:
        while name in joins:
            name = joins[name]
        return name

    # Few rows share a photograph, so that walking them one by one is quick.
    shared, met = np.flatnonzero(first != NOBODY), dict[int, int]()
    for key, name in zip(first[shared].tolist(), names[shared].tolist(), strict=True):
        one, other = root(name), root(met.setdefault(key, name))
        if one != other:
            joins[one] = other
    if joins:
        known, at = np.unique(names, return_inverse=True)
        names = np.array([root(name) for name in known.tolist()], np.int64)[at]
    return np.where((first == NOBODY) & (second == NOBODY), NOBODY, names)
