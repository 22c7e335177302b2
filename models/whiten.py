"""Whitening: a last linear layer that evens out what a member's vectors vary by.

Without labels: principal components at unit variance, the largest gain for a pretrained net. With them: directions in
which one individual differs from encounter to encounter - light, water, drone - count less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.ensemble import Float32
from app.domain.errors import InvalidInput
from models.dataset import Int64


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """vector (n, d_in) -> (vector - ``mean``) @ ``matrix``.T, with matrix (d_out, d_in)."""

    mean: Float32
    matrix: Float32

    def apply(self, rows: Float32) -> Float32:
        """Rows (n, d_in) to (n, d_out); not normalised."""
        return np.asarray((rows - self.mean) @ self.matrix.T, dtype=np.float32)


def fit_whitening(rows: Float32, dimension: int, *, shrink: float = 1e-3) -> Whitening:
    """Fit on rows (n, d): the ``dimension`` strongest components, fewer when the rows do not span as many.

    ``shrink`` adds that share of the mean variance to every component, so that weak ones are not blown up to noise.
    Raises InvalidInput for fewer than two rows: they have no variance.
    """
    if len(rows) < 2:
        raise InvalidInput(f"a whitening needs at least two photographs to be fitted on, not {len(rows)}")
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows.astype(np.float64) - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(len(rows) - 1, 1))
    keep = min(dimension, len(rows) - 1, rows.shape[1])
    strongest = np.argsort(values)[::-1][:keep]
    spread = np.sqrt(np.maximum(values[strongest], 0.0) + shrink * values.mean())
    return _scaled(mean, (vectors[:, strongest] / spread).T)


def fit_across_encounters(
    rows: Float32, individuals: Int64, encounters: Int64, *, shrink: float = 10.0, dimension: int | None = None
) -> Whitening:
    """Fit on rows (n, d) of individuals that were met more than once: the inverse root of their own scatter.

    The scatter is that of an individual's encounter means around their mean, every individual weighing the same;
    ``shrink`` adds that multiple of its mean variance. With ``dimension`` only so many of the strongest components of
    the result are kept. Raises InvalidInput when nobody was met twice.
    """
    scatters = []
    for individual in np.unique(individuals):
        own = individuals == individual
        means = [rows[own & (encounters == one)].mean(axis=0, dtype=np.float64) for one in np.unique(encounters[own])]
        if len(means) > 1:
            scatters.append(np.cov(np.stack(means), rowvar=False))
    if not scatters:
        raise InvalidInput("no individual that is trained on was met in two encounters: use another whitening")
    values, vectors = np.linalg.eigh(np.mean(scatters, axis=0))
    spread = np.sqrt(np.maximum(values, 0.0) + shrink * values.mean())
    mean, matrix = rows.mean(axis=0, dtype=np.float64), (vectors / spread) @ vectors.T
    if dimension is not None and dimension < len(matrix):
        left = (rows - mean) @ matrix.T
        matrix = np.linalg.eigh(left.T @ left)[1][:, ::-1][:, :dimension].T @ matrix
    return _scaled(mean, matrix)


def _scaled(mean: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64]) -> Whitening:
    """With a largest entry of 1: only directions count, and float16 keeps them best there."""
    return Whitening(mean.astype(np.float32), (matrix / np.abs(matrix).max()).astype(np.float32))
