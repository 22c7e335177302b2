"""Images through Pillow: decode with limits, prepare for a member, make thumbnails.

This is the one place where a photograph becomes numbers: training, import and query all call ``prepare``.

A hostile file is stopped by what its header claims, before anything is allocated or computed: pixels and tiles,
scans of a JPEG, numbers in TIFF tags, size of the EXIF block, and the number of pieces in which it makes Pillow read it
(parsers in Python spend microseconds on a piece, and 45 MB of fill bytes kept one busy for a minute).
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import imagehash
import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageOps, TiffTags, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from app.domain.catalogue import Box
from app.domain.ensemble import Fit, Float32, Preprocessing
from app.domain.errors import BadFormat, BadImage, TooLarge
from app.domain.photograph import Photograph, Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF")
# A JPEG is decoded at 1/2, 1/4 or 1/8 while its longest side stays above this: at least twice any member's input.
_ENOUGH = 1024
_STRUCTURED = 16  # bits more or fewer than half: a flat picture sets next to none
_TURNED_BY_EXIF = {5, 6, 7, 8}
_WHITE = (255, 255, 255)

_MOST_READS = 200_000  # honest files of 50 MB need 25,000
_MOST_EXIF = 1_000_000  # bytes; a JPEG segment holds 65,533
_MOST_NUMBERS = 250_000  # in one TIFF directory: enough for two numbers a row of the tallest photographs
_MOST_SCANS = 100  # of a JPEG as large as is allowed; progressive cameras and editors write 10
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_BYTES = {TiffTags.BYTE, TiffTags.ASCII, TiffTags.SIGNED_BYTE, TiffTags.UNDEFINED}
_DIRECTORIES = {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop}

# Thumbnails off: Pillow's draft would otherwise decode the thumbnail in place of the photograph.
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


class Laborious(Exception):
    """A photograph within the limits that takes more work than is done here."""


class PillowImages:
    """The Images port. Limits are per photograph; nothing is allocated for one that breaks them.

    With ``effort``, pixels times scans of a JPEG, a photograph that takes more of it is Laborious.
    """

    def __init__(self, *, max_bytes: int = 50_000_000, max_pixels: int = 40_000_000, effort: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._effort = effort
        # Pillow warns of what it repairs, once for each hostile file. This is set for the whole process since filters
        # cannot be changed for one thread, and names nothing but Pillow.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def probe(self, content: bytes) -> tuple[str, int, int]:
        """Read the header only: (format, upright width, upright height); a PNG whole, as its EXIF may come last.

        Raises BadFormat, BadImage or TooLarge as ``decode`` would for the same fault of the header.
        """
        with _translated(), self._open(content) as image:
            return (_format(image), *_upright_size(image))

    def decode(self, content: bytes, *, whole: bool = False) -> Photograph:
        """Decode to upright RGB.

        ``whole`` keeps every pixel (a box will be cut out); otherwise a large JPEG is decoded at a reduced scale.
        Raises BadFormat for a format off the allow-list, TooLarge beyond the limits and BadImage for anything broken.
        """
        with _translated(), self._open(content) as image:
            width, height = _upright_size(image)
            taken, kind = _taken(image), _format(image)
            if not whole:
                scale = _ENOUGH / max(image.size)
                image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
            ImageOps.exif_transpose(image, in_place=True)
            return Photograph(np.asarray(_rgb(image)), kind, width, height, taken)

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

    def phash(self, photograph: Photograph) -> int:
        """The 64 bits of the perceptual hash (pHash: signs of the lowest frequencies around their median), signed.

        0 for a picture without structure: of a photograph about half of the bits are set.
        """
        packed = np.packbits(imagehash.phash(Image.fromarray(photograph.pixels)).hash)
        value = int.from_bytes(packed.tobytes(), "big", signed=True)
        return value if abs(int(np.bitwise_count(packed).sum()) - 32) <= _STRUCTURED else 0

    def _open(self, content: bytes) -> Image.Image:
        if len(content) > self._max_bytes:
            raise TooLarge(f"the photograph has {len(content)} bytes, more than {self._max_bytes}")
        if _numbers_in_tags(content) > _MOST_NUMBERS:
            raise BadImage("the photograph cannot be decoded: its TIFF tags hold too many numbers")
        image = Image.open(_CountedBytes(content), formats=FORMATS)
        pixels = image.width * image.height
        if isinstance(image, TiffImageFile):
            pixels = max(pixels, image.tag_v2.get(_TILE_WIDTH, 1) * image.tag_v2.get(_TILE_LENGTH, 1))
        if pixels > self._max_pixels:
            raise TooLarge(f"the photograph has {pixels} pixels, more than {self._max_pixels}")
        if len(image.info.get("exif") or b"") > _MOST_EXIF:
            raise BadImage(f"the photograph cannot be decoded: its EXIF block has more than {_MOST_EXIF} bytes")
        scans = len(_SCAN.findall(content)) if _format(image) == "JPEG" else 1
        if pixels * scans > self._max_pixels * _MOST_SCANS:
            raise BadImage("the photograph cannot be decoded: it has too many scans for its size")
        if self._effort is not None and pixels * scans > self._effort:
            raise Laborious
        return image


class _CountedBytes(io.BytesIO):
    """A file in memory that may be read in so many pieces, and no more."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise BadImage("the photograph cannot be decoded: it is cut into too many pieces")
        return super().read(size)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn every way in which Pillow fails into BadImage: bombs, ValueError and SyntaxError are no OSError."""
    try:
        yield
    except (BadImage, TooLarge, Laborious):
        raise
    except UnidentifiedImageError as error:
        raise BadFormat(f"not a photograph in one of the formats {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise TooLarge("the photograph claims more pixels than are allowed") from error
    except Exception as error:
        reason = error if isinstance(error, OSError) else type(error).__name__
        raise BadImage(f"the photograph cannot be decoded: {reason}") from error


def _numbers_in_tags(content: bytes) -> int:
    """How many numbers the tags of a TIFF's first directories claim in all; 0 for other formats and what is cut off."""
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None:
        return 0
    total = 0
    with suppress(struct.error):
        wide = struct.unpack_from(order + "H", content, 2)[0] == 43
        size, entry = (order + "Q", order + "HHQQ") if wide else (order + "H", order + "HHLL")
        places = list(struct.unpack_from(order + ("Q" if wide else "L"), content, 8 if wide else 4))
        for place in places:
            start = place + struct.calcsize(size)
            for number in range(min(struct.unpack_from(size, content, place)[0], _MOST_NUMBERS)):
                tag, kind, count, value = struct.unpack_from(entry, content, start + number * struct.calcsize(entry))
                if kind not in _BYTES and count * 2 <= len(content):  # Pillow skips what claims more than the file
                    total += count
                if tag in _DIRECTORIES and len(places) <= len(_DIRECTORIES):
                    places.append(value)
    return total


def _format(image: Image.Image) -> str:
    """The format's name; a JPEG with further frames is one."""
    return "JPEG" if image.format == "MPO" else image.format or ""


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED_BY_EXIF
    # Pillow turns a TIFF by its own tag, its size at once and its pixels when they are loaded.
    if turned and not (isinstance(image, TiffImageFile) and ExifTags.Base.Orientation in image.tag_v2):
        return image.height, image.width
    return image.width, image.height


def _taken(image: Image.Image) -> datetime | None:
    exif = image.getexif()
    text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    with suppress(ValueError):
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        deep = levels.max(initial=0) > 255
        eight = levels.clip(0, 65535) // 257 if deep else levels.clip(0, 255)
        return Image.fromarray(eight.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        shades = np.nan_to_num(np.asarray(image))
        span = 65535.0 if shades.max(initial=0) > 255 else 255.0
        return Image.fromarray((shades.clip(0, span) * (255.0 / span)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        # White stands for missing pixels in the catalogue's crops, so transparency becomes white too.
        ground = Image.new("RGBA", image.size, (*_WHITE, 255))
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _cut(photograph: Photograph, box: Box | None) -> Pixels:
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
