"""The ensemble at work through ONNX Runtime on the CPU, its files checked by hash before they are used.

Every run computes one picture on one thread, and a pool of as many threads as there are cores is shared by all
requests. So a single photograph keeps the cores busy (its members, and its mirror beside it), a batch gives exactly
the vectors of its photographs one by one, and no run waits for a thread of its own that another job has displaced.
Measured on two cores with three EfficientNet-Lite members, a photograph alone and one of a batch of 8: 31 and 34 ms;
two threads in a session 30 and 38 ms, or 82 and 43 where they spin (docs/decisions/0005-threads.md).
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime as ort

from app.domain.catalogue import Box
from app.domain.ensemble import ActiveSpace, Ensemble, Float32, Member, Preprocessing, Space, parse_manifest
from app.domain.errors import InvalidInput, ModelUnavailable, SpaceMismatch
from app.domain.photograph import Photograph

PRECISION = "onnxruntime-cpu-float32"
MANIFEST = "manifest.json"
Prepare = Callable[[Photograph, Preprocessing, Box | None], Float32]
# What tells computations apart; members of two spaces that agree in it are computed once.
_Computation = tuple[str, Preprocessing]

# Runs that one caller may have waiting, per thread: enough to keep the pool busy, few enough that an import does not
# hold up a match by more than some hundredths of a second.
_AHEAD = 4
_IMAGES, _EMBEDDING, _FEATURE_MAP = "images", "embedding", "feature_map"


@dataclass(frozen=True, slots=True)
class _Loaded:
    ensemble: Ensemble
    sessions: Mapping[str, ort.InferenceSession]  # by the SHA-256 of the member's file


class OnnxEmbedder:
    """The Embedder port over a folder with ``manifest.json`` and the members that it names.

    ``prepare`` brings a photograph to a member's input; ``threads`` is by default the number of cores that this
    process may use. The folder is read when first needed; a fault raises ModelUnavailable with a sentence that names
    the member, and the folder is read again at most every ``retry_seconds`` until it is good.
    """

    def __init__(
        self, folder: Path, prepare: Prepare, *, threads: int | None = None, retry_seconds: float = 2.0
    ) -> None:
        self._folder = folder
        self._prepare = prepare
        self._threads = threads or len(os.sched_getaffinity(0))
        self._retry_seconds = retry_seconds
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="embed")
        self._loading = Lock()
        self._loaded: _Loaded | None = None
        self._fault = ""
        self._retry_at = 0.0

    @property
    def ensemble(self) -> Ensemble:
        return self._ready().ensemble

    def active_spaces(self) -> list[ActiveSpace]:
        return [
            ActiveSpace(space.name, space.fingerprint(PRECISION), space.dimension, space.viewpoints)
            for space in self.ensemble.spaces
        ]

    def embed(self, crops: Sequence[tuple[Photograph, Box | None]], spaces: Sequence[Space]) -> dict[str, Float32]:
        loaded = self._ready()
        if stray := [space.name for space in spaces if space not in loaded.ensemble.spaces]:
            raise SpaceMismatch(f"the ensemble {loaded.ensemble.name!r} has no such space: {', '.join(stray)}")
        members = {_computation(member): member for space in spaces for member in space.members}
        vectors = self._vectors(loaded.sessions, members, crops)
        return {space.name: space.join([vectors[_computation(member)] for member in space.members]) for space in spaces}

    def _vectors(
        self,
        sessions: Mapping[str, ort.InferenceSession],
        members: Mapping[_Computation, Member],
        crops: Sequence[tuple[Photograph, Box | None]],
    ) -> dict[_Computation, Float32]:
        """Raw member vectors (n, d), each over a crop and its mirror as the member wants them."""
        sides = {
            key: np.empty((member.preprocessing.mirror.views, len(crops), member.view_dimension), np.float32)
            for key, member in members.items()
        }
        pending: deque[Future[None]] = deque()
        try:
            for row, (photograph, box) in enumerate(crops):
                inputs = self._inputs(photograph, box, (member.preprocessing for member in members.values()))
                for key, member in members.items():
                    for side, tensor in enumerate(inputs[member.preprocessing]):
                        target = sides[key][side, row]
                        pending.append(self._pool.submit(_run, sessions[member.sha256], member, tensor, target))
                while len(pending) > _AHEAD * self._threads:
                    pending.popleft().result()
            while pending:
                pending.popleft().result()
        finally:
            for run in pending:
                run.cancel()
        return {key: member.preprocessing.mirror.merge(sides[key]) for key, member in members.items()}

    def _inputs(
        self, photograph: Photograph, box: Box | None, recipes: Iterable[Preprocessing]
    ) -> dict[Preprocessing, list[Float32]]:
        """A crop and where wanted its mirror, each (1, 3, height, width), once for each different recipe."""
        inputs = {}
        for recipe in set(recipes):
            tensor = self._prepare(photograph, recipe, box)[np.newaxis]
            views = [tensor, np.ascontiguousarray(tensor[..., ::-1])]
            inputs[recipe] = views[: recipe.mirror.views]
        return inputs

    def _ready(self) -> _Loaded:
        if self._loaded:
            return self._loaded
        with self._loading:
            if not self._loaded and time.monotonic() >= self._retry_at:
                try:
                    self._loaded = _load(self._folder)
                except ModelUnavailable as error:
                    self._fault = str(error)
                    self._retry_at = time.monotonic() + self._retry_seconds
            if not self._loaded:
                raise ModelUnavailable(self._fault)
            return self._loaded


def _computation(member: Member) -> _Computation:
    return member.sha256, member.preprocessing


def _load(folder: Path) -> _Loaded:
    try:
        ensemble = parse_manifest(_read(folder / MANIFEST))
    except (InvalidInput, OSError, ValueError, RecursionError, MemoryError) as error:
        raise ModelUnavailable(f"the ensemble's {MANIFEST} cannot be used: {_sentence(error)}") from error
    sessions = {}
    for member in ensemble.members:
        try:
            if member.sha256 not in sessions:
                sessions[member.sha256] = _session(folder, member)
            _check(sessions[member.sha256], member)
        except ModelUnavailable as error:
            raise ModelUnavailable(f"member {member.name!r} cannot be used: {error}") from error
        except (OSError, ValueError, MemoryError) as error:
            raise ModelUnavailable(f"member {member.name!r} cannot be read: {_sentence(error)}") from error
    return _Loaded(ensemble, sessions)


def _read(path: Path) -> bytes:
    """The bytes of a plain file; hard links pass, since installers make them and what is hashed is what is used."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        return stream.read()


def _session(folder: Path, member: Member) -> ort.InferenceSession:
    content = _read(folder / member.file)
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise ModelUnavailable("its file does not match the SHA-256 in the manifest")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a fault is an error here, not a line on standard error
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Weights in other files are not covered by the hash: they are looked for where no file can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ModelUnavailable("ONNX Runtime cannot load it, or not without other files") from error


def _check(session: ort.InferenceSession, member: Member) -> None:
    """Hold the graph against the manifest, and run it once: that also takes its memory before the first request."""
    shape = (1, 3, member.preprocessing.height, member.preprocessing.width)
    inputs = [(port.name, port.type) for port in session.get_inputs()]
    outputs = {port.name: port.type for port in session.get_outputs()}
    if inputs != [(_IMAGES, "tensor(float)")] or not _accepts(session.get_inputs()[0].shape, shape):
        raise ModelUnavailable(f"its input is not {_IMAGES!r}, n x 3 x {shape[2]} x {shape[3]}, float32")
    if any(outputs.get(name) != "tensor(float)" for name in (_EMBEDDING, _FEATURE_MAP)):
        raise ModelUnavailable(f"its outputs are not {_EMBEDDING!r} and {_FEATURE_MAP!r}, float32")
    _run(session, member, np.zeros(shape, np.float32), np.empty(member.view_dimension, np.float32))


def _accepts(declared: Sequence[int | str | None], wanted: Sequence[int]) -> bool:
    """Whether a graph's declared shape, in which free sizes have a name or None, takes this one."""
    return len(declared) == len(wanted) and all(
        isinstance(own, str | None) or own == size for own, size in zip(declared, wanted, strict=True)
    )


def _run(session: ort.InferenceSession, member: Member, tensor: Float32, target: Float32) -> None:
    """Write the vector of one picture (1, 3, height, width) to ``target`` (d)."""
    try:
        (rows,) = session.run([_EMBEDDING], {_IMAGES: tensor})
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ModelUnavailable(f"member {member.name!r} failed on a picture") from error
    if rows.shape != (1, member.view_dimension) or not np.isfinite(rows).all():
        raise ModelUnavailable(f"member {member.name!r} did not give {member.view_dimension} finite numbers")
    target[:] = rows[0]


def _sentence(error: BaseException) -> str:
    """What went wrong, without the path: it may be shown to anyone."""
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
