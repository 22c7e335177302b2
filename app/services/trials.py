"""Ask catalogued annotations as if they were new: rank the gallery without their own encounter, block by block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from app.domain import ranking
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32
from app.domain.partition import NOBODY, UNDATED, VIEWPOINTS, Int64, Mask, Selection
from app.domain.ports import Snapshot
from app.domain.profiles import Profile
from app.domain.ranking import Answers
from app.domain.trials import (
    UNDATED_GAP,
    Float64,
    Listed,
    Trials,
    ViewPair,
    encounter_keys,
    joined,
    listing,
    pair_of,
)
from app.services.rank import Questions, comparable, listed

# Enough encounters for figures of 2 %, and a bound on the time that a catalogue of any size takes.
_ENCOUNTERS = 2000
_OF_ONE_ENCOUNTER = 2
# So many answers are asked for; a list holds all that the ranking then looked at, which is five times as many. Nobody
# looks at more: whatever is placed further down counts as missed by the whole list.
_DEPTH = 200
_SEED = 20_170_803


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Annotations of one encounter and viewpoint, asked together; ``mask`` is their gallery."""

    rows: Int64
    viewpoint: Viewpoint
    vectors: dict[str, Float32]
    mask: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Trying:
    """Trials on one snapshot; ``gallery`` marks the rows that may be found, by default all that have a name.

    Memory is that of one encounter's answers. ``own_encounter`` leaves it in the gallery, and only the photograph
    itself out: what a match of a catalogued annotation finds then is no evidence of how new photographs fare.
    """

    snapshot: Snapshot
    ensemble: Ensemble
    profile: Profile
    gallery: Mask | None = None
    own_encounter: bool = False

    def __call__(
        self, queries: Mask | None = None, progress: Callable[[int, int], None] | None = None
    ) -> dict[ViewPair, Trials]:
        """Trials by kind of question: the whole gallery (``any``), and each viewpoint pair that it holds by itself.

        At most 2,000 encounters are asked about, drawn by chance but always the same, and 2 photographs of each.
        ``progress`` is told encounters done and in all.
        """
        found: dict[ViewPair, list[Trials]] = defaultdict(list)
        columns = self.snapshot.gallery
        keys, named = encounter_keys(columns), columns.individual != NOBODY
        groups = _drawn(keys, named if queries is None else named & queries)
        for done, rows in enumerate(groups, start=1):
            for block in self._blocks(rows, keys):
                for kind, trials in self._asked(block, keys):
                    found[kind].append(trials)
            if progress:
                progress(done, len(groups))
        return {kind: joined(found[kind]) for kind in ViewPair if found[kind]}

    def _blocks(self, rows: Int64, keys: Int64) -> Iterator[_Block]:
        columns = self.snapshot.gallery
        searchable = columns.individual != NOBODY
        if self.gallery is not None:
            searchable &= self.gallery
        # With its encounter in the gallery each photograph has a gallery of its own: all but itself.
        for asked in np.split(rows, len(rows)) if self.own_encounter else [rows]:
            own = np.isin(columns.image, columns.image[asked])
            if not self.own_encounter:
                met = keys == keys[rows[0]]
                own = met | np.isin(columns.image, columns.image[met]) | _of_one_moment(columns.fold, met)
            mask = searchable & ~own
            for position in np.unique(columns.viewpoint[asked]):
                viewpoint = VIEWPOINTS[position]
                vectors, held = self._vectors(viewpoint, asked[columns.viewpoint[asked] == position])
                if len(held):
                    left = comparable(self.snapshot, self.ensemble, (viewpoint,), Selection(mask))
                    yield _Block(held, viewpoint, vectors, left.mask)

    def _vectors(self, viewpoint: Viewpoint, rows: Int64) -> tuple[dict[str, Float32], Int64]:
        """Stored vectors by space, and the rows that have one in every space that serves their viewpoint."""
        spaces = [space for space in self.ensemble.spaces if viewpoint in space.viewpoints]
        for space in spaces:
            rows = rows[self.snapshot.held(space.name)[rows]]
        asked = self.snapshot.gallery.annotation[rows]
        vectors = {space.name: self.snapshot.vectors(space.name, asked) for space in spaces}
        return vectors, rows if spaces else rows[:0]

    def _asked(self, block: _Block, keys: Int64) -> Iterator[tuple[ViewPair, Trials]]:
        viewpoints = self.snapshot.gallery.viewpoint
        kinds = defaultdict(list)
        for position, other in enumerate(VIEWPOINTS):
            kinds[pair_of(block.viewpoint, other)].append(position)
        parts = {kind: block.mask & np.isin(viewpoints, positions) for kind, positions in kinds.items()}
        parts = {kind: part for kind, part in parts.items() if part.any()}
        if len(parts) == 1:
            (kind, part), *_ = parts.items()
            trials = self._ranked(block, part, keys)
            yield ViewPair.ANY, trials
            yield kind, trials
            return
        for kind, part in ({ViewPair.ANY: block.mask} | parts if parts else {}).items():
            yield kind, self._ranked(block, part, keys)

    def _ranked(self, block: _Block, mask: Mask, keys: Int64) -> Trials:
        columns = self.snapshot.gallery
        depth = min(_DEPTH, int(np.count_nonzero(mask)))
        # As in a match, a bridge may show a view that the gallery leaves out.
        days = columns.day[block.rows]
        questions = Questions(block.viewpoint, block.vectors, through=block.mask, day=days)
        found = listed(self.snapshot, self.ensemble, questions, mask, depth, self.profile)
        individuals = columns.individual[block.rows]
        lists = [self._lists(one, own) for one, own in zip(found, individuals.tolist(), strict=True)]
        return Trials(
            individual=individuals,
            encounter=keys[block.rows],
            viewpoint=columns.viewpoint[block.rows],
            known=np.isin(individuals, columns.individual[mask]),
            years=np.array([self._years(row, mask) for row in block.rows.tolist()], np.int64),
            searched=np.full(len(individuals), len(np.unique(columns.individual[mask])), np.int64),
            lists={kind: listing([one[kind] for one in lists]) for kind in Listed},
        )

    def _lists(self, found: Answers, own: int) -> dict[Listed, tuple[Float64, Mask, Int64]]:
        columns, at = self.snapshot.gallery, self.snapshot.gallery.rows_of(found.annotations)
        individuals = columns.individual[at]
        first = np.sort(np.unique(individuals, return_index=True)[1])
        scores, same, seen = ranking.score_of(found.likeness), individuals == own, columns.viewpoint[at]
        return {Listed.ANNOTATION: (scores, same, seen), Listed.INDIVIDUAL: (scores[first], same[first], seen[first])}

    def _years(self, row: int, mask: Mask) -> int:
        columns = self.snapshot.gallery
        seen = columns.year[mask & (columns.individual == columns.individual[row])]
        seen = seen[seen != UNDATED]
        year = columns.year[row]
        return int(np.abs(seen - year).min()) if len(seen) and year != UNDATED else UNDATED_GAP


def _of_one_moment(folds: Int64, met: Mask) -> Mask:
    """Rows that are duplicates of what was met: a copy filed under another encounter is no other encounter."""
    return np.isin(folds, folds[met & (folds != NOBODY)])


def _drawn(keys: Int64, queries: Mask) -> list[Int64]:
    """The rows to ask about, encounter by encounter."""
    drawn = np.random.default_rng(_SEED)
    rows = drawn.permutation(np.flatnonzero(queries))
    encounters, where = np.unique(keys[rows], return_inverse=True)
    chosen = np.sort(drawn.permutation(len(encounters))[:_ENCOUNTERS])
    order = np.argsort(where, kind="stable")
    starts = np.searchsorted(where[order], np.arange(len(encounters) + 1))
    return [np.sort(rows[order[starts[i] : starts[i + 1]][:_OF_ONE_ENCOUNTER]]) for i in chosen]
