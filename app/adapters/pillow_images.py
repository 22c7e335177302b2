"""Images through Pillow: decode with limits, prepare for a member, make thumbnails.

This is the one place where a photograph becomes numbers: training, import and query all call ``prepare``.
"""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from datetime import datetime

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from app.domain.catalogue import Box
from app.domain.ensemble import Fit, Float32, Preprocessing
from app.domain.errors import BadFormat, BadImage, TooLarge
from app.domain.photograph import Photograph

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF")
# A JPEG is decoded at 1/2, 1/4 or 1/8 while its longest side stays above this: at least twice any member's input.
_ENOUGH = 1024
_TURNED_BY_EXIF = {5, 6, 7, 8}
_WHITE = (255, 255, 255)

pillow_heif.register_heif_opener()
warnings.simplefilter("error", Image.DecompressionBombWarning)


class PillowImages:
    """The Images port. Limits are per photograph; nothing is allocated for one that breaks them."""

    def __init__(self, *, max_bytes: int = 50_000_000, max_pixels: int = 40_000_000) -> None:
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels

    def probe(self, content: bytes) -> tuple[str, int, int]:
        """Read the header only: (format, upright width, upright height).

        Raises BadFormat, BadImage or TooLarge as ``decode`` would for the same fault of the header.
        """
        with _translated(), self._open(content) as image:
            return (image.format or "", *_upright_size(image))

    def decode(self, content: bytes, *, whole: bool = False) -> Photograph:
        """Decode to upright RGB.

        ``whole`` keeps every pixel (a box will be cut out); otherwise a large JPEG is decoded at a reduced scale.
        Raises BadFormat for a format off the allow-list, TooLarge beyond the limits and BadImage for anything broken.
        """
        with _translated(), self._open(content) as image:
            width, height = _upright_size(image)
            taken, kind = _taken(image), image.format or ""
            if not whole:
                scale = _ENOUGH / max(image.size)
                image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
            upright = _rgb(ImageOps.exif_transpose(image))
            return Photograph(np.asarray(upright), kind, width, height, taken)

    def prepare(self, photograph: Photograph, recipe: Preprocessing, box: Box | None = None) -> Float32:
        """Bring a photograph, or the ``box`` of it, to a member's input: 3 x height x width, normalised.

        Raises BadImage when the box lies outside the photograph.
        """
        crop = Image.fromarray(_cut(photograph, box))
        if recipe.turn_wide and crop.width > crop.height:
            crop = crop.transpose(Image.Transpose.ROTATE_270)
        fitted = np.asarray(_fit(crop, recipe), dtype=np.float32)
        scaled = (fitted - np.array(recipe.mean, np.float32)) / np.array(recipe.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))

    def render(self, photograph: Photograph, *, longest: int, box: Box | None = None) -> bytes:
        """A JPEG without metadata, at most ``longest`` pixels on its longest side."""
        picture = Image.fromarray(_cut(photograph, box))
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
        return stream.getvalue()

    def _open(self, content: bytes) -> Image.Image:
        if len(content) > self._max_bytes:
            raise TooLarge(f"the photograph has {len(content)} bytes, more than {self._max_bytes}")
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > self._max_pixels:
            raise TooLarge(f"the photograph has {image.width} x {image.height} pixels, more than {self._max_pixels}")
        return image


class _translated:  # noqa: N801 - reads as a word of the with statement
    """Turns every way in which Pillow fails into BadImage: bombs, ValueError and SyntaxError are no OSError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UnidentifiedImageError):
            raise BadFormat(f"not a photograph in one of the formats {', '.join(FORMATS)}") from error
        if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
            raise TooLarge("the photograph claims more pixels than are allowed") from error
        if isinstance(error, Exception) and not isinstance(error, BadImage | TooLarge):
            raise BadImage(f"the photograph cannot be decoded: {type(error).__name__}") from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED_BY_EXIF
    return (image.height, image.width) if turned else (image.width, image.height)


def _taken(image: Image.Image) -> datetime | None:
    exif = image.getexif()
    text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    with suppress(ValueError):
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image, dtype=np.float64)
        span = 65535.0 if levels.max(initial=0) > 255 else 255.0
        return Image.fromarray((levels.clip(0, span) * (255.0 / span)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        # White stands for missing pixels in the catalogue's crops, so transparency becomes white too.
        ground = Image.new("RGBA", image.size, (*_WHITE, 255))
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _cut(photograph: Photograph, box: Box | None) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if box is None:
        return photograph.pixels
    inside = (
        box.x >= 0 and box.y >= 0 and box.x + box.width <= photograph.width and box.y + box.height <= photograph.height
    )
    if box.width <= 0 or box.height <= 0 or not inside:
        raise BadImage(f"the box {box.x},{box.y},{box.width},{box.height} lies outside the photograph")
    scale_y, scale_x = photograph.pixels.shape[0] / photograph.height, photograph.pixels.shape[1] / photograph.width
    top, left = int(box.y * scale_y), int(box.x * scale_x)
    bottom, right = round((box.y + box.height) * scale_y), round((box.x + box.width) * scale_x)
    return photograph.pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def _fit(crop: Image.Image, recipe: Preprocessing) -> Image.Image:
    size = (recipe.width, recipe.height)
    if recipe.fit is Fit.SQUASH:
        return crop.resize(size, Image.Resampling.BILINEAR)
    return ImageOps.pad(crop, size, Image.Resampling.BILINEAR, color=_WHITE)
