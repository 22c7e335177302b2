"""Whitening: principal components of a member's pooled features, each scaled to unit variance.

The largest gain that costs no labels: it takes away what all animals share and weighs the rest evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.ensemble import Float32


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
    The matrix is scaled to a largest entry of 1: only directions count, and float16 keeps them best there.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows.astype(np.float64) - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(len(rows) - 1, 1))
    keep = min(dimension, len(rows) - 1, rows.shape[1])
    strongest = np.argsort(values)[::-1][:keep]
    spread = np.sqrt(np.maximum(values[strongest], 0.0) + shrink * values.mean())
    matrix: npt.NDArray[np.float64] = (vectors[:, strongest] / spread).T
    return Whitening(mean.astype(np.float32), (matrix / np.abs(matrix).max()).astype(np.float32))
