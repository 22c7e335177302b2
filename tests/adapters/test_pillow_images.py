from __future__ import annotations

import csv
import io
import resource
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from app.adapters import pillow_images
from app.adapters.pillow_images import PillowImages
from app.domain.catalogue import Box
from app.domain.ensemble import Fit, Preprocessing
from app.domain.errors import BadFormat, BadImage, InvalidInput, TooLarge
from app.domain.photograph import Photograph

RED, GREEN, BLUE, YELLOW = (230, 20, 20), (20, 200, 20), (20, 20, 230), (230, 220, 20)
PLAIN = Preprocessing(32, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
LATITUDE, LONGITUDE = (60, 44, 13.57), (151, 29, 47.31)


@pytest.fixture
def images():
    return PillowImages()


def corners(width: int = 64, height: int = 96) -> Image.Image:
    """Four flat quarters, no two alike: red, green over blue, yellow."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(YELLOW, (width // 2, height // 2, width, height))
    return picture


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def quarters(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The colours at the middle of the four quarters, row by row."""
    height, width = pixels.shape[:2]
    return [tuple(pixels[y, x]) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]


def close(found: list[tuple[int, ...]], expected: list[tuple[int, int, int]], within: int = 12) -> bool:
    return bool(np.abs(np.array(found, int) - np.array(expected, int)).max() <= within)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes, pixels: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def tiff(width: int, height: int, *entries: tuple[int, int, int, bytes], pixels: bytes = b"") -> bytes:
    """A grey TIFF with further tags: (tag, type, count, value), a value of more than 4 bytes stored aside."""
    short = struct.Struct("<HH")
    tags = {
        256: (4, 1, struct.pack("<I", width)),
        257: (4, 1, struct.pack("<I", height)),
        258: (3, 1, short.pack(8, 0)),
        259: (3, 1, short.pack(1, 0)),
        262: (3, 1, short.pack(1, 0)),
        273: (4, 1, struct.pack("<I", 8)),
        277: (3, 1, short.pack(1, 0)),
        278: (4, 1, struct.pack("<I", height)),
        279: (4, 1, struct.pack("<I", len(pixels))),
    }
    tags.update({tag: (kind, count, value) for tag, kind, count, value in entries})
    body, directory = bytearray(b"II*\0\0\0\0\0" + pixels), bytearray(struct.pack("<H", len(tags)))
    for tag, (kind, count, value) in sorted(tags.items()):
        directory += struct.pack("<HHI", tag, kind, count)
        directory += value if len(value) == 4 else struct.pack("<I", len(body))
        body += b"" if len(value) == 4 else value
    body[4:8] = struct.pack("<I", len(body))
    return bytes(body + directory + bytes(4))


# --- upright -------------------------------------------------------------------------------------------------------

UPRIGHT = {  # EXIF orientation -> quarters as a person should see them
    1: [RED, GREEN, BLUE, YELLOW],
    2: [GREEN, RED, YELLOW, BLUE],
    3: [YELLOW, BLUE, GREEN, RED],
    4: [BLUE, YELLOW, RED, GREEN],
    5: [RED, BLUE, GREEN, YELLOW],
    6: [BLUE, RED, YELLOW, GREEN],
    7: [YELLOW, GREEN, BLUE, RED],
    8: [GREEN, YELLOW, RED, BLUE],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_photograph_stands_upright(images, kind, orientation):
    """All eight EXIF orientations are undone in every format, and the size is that of the upright photograph."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = saved(corners(), kind, exif=exif)
    size = (64, 96) if orientation <= 4 else (96, 64)
    photograph = images.decode(content)
    assert (photograph.format, photograph.width, photograph.height) == (kind, *size)
    assert photograph.pixels.shape == (size[1], size[0], 3)
    assert close(quarters(photograph.pixels), UPRIGHT[orientation])
    assert images.probe(content) == (kind, *size)


def test_heic_is_turned_once(images):
    """HEIC is turned by its decoder; the EXIF orientation is not applied a second time."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = saved(corners(), "HEIF", quality=90, exif=exif.tobytes())
    photograph = images.decode(content)
    assert (photograph.width, photograph.height) == (96, 64) == images.probe(content)[1:]
    assert close(quarters(photograph.pixels), UPRIGHT[6], within=25)


def test_orientation_in_xmp_counts_for_size_too(images):
    """A file whose orientation stands in XMP alone has one size, in its header and as pixels."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    for kind in ("JPEG", "WEBP"):
        content = saved(corners(), kind, xmp=xmp)
        photograph = images.decode(content)
        assert photograph.pixels.shape == (photograph.height, photograph.width, 3) == (64, 96, 3)
        assert images.probe(content) == (kind, 96, 64)


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_decoded_at_a_reduced_scale(images, orientation):
    """A search needs no more than 1,024 pixels of a side; a box needs them all; both see the same picture."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = saved(corners(3000, 2200), "JPEG", exif=exif)
    reduced, whole = images.decode(content), images.decode(content, whole=True)
    size = (3000, 2200) if orientation == 1 else (2200, 3000)
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == size
    assert whole.pixels.shape == (size[1], size[0], 3)
    assert 1024 <= max(reduced.pixels.shape) <= 1500
    assert close(quarters(reduced.pixels), UPRIGHT[orientation])
    np.testing.assert_allclose(images.prepare(reduced, PLAIN), images.prepare(whole, PLAIN), atol=12)


def test_heic_thumbnail_never_stands_in(images):
    """A HEIC with a thumbnail is decoded itself, and so is every other format: only a JPEG is reduced."""
    content = saved(corners(1400, 400), "HEIF", quality=60, thumbnails=[1100])
    assert images.decode(content).pixels.shape == (400, 1400, 3)
    assert images.decode(saved(corners(1400, 400), "WEBP")).pixels.shape == (400, 1400, 3)


# --- colours -------------------------------------------------------------------------------------------------------


def test_transparency_becomes_white(images):
    """Missing pixels are white in the catalogue, so transparent ones become white, half transparent ones half."""
    clear = corners().convert("RGBA")
    clear.paste((*RED, 0), (0, 0, 32, 48))
    clear.paste((0, 0, 0, 128), (32, 0, 64, 48))
    for content in (saved(clear), saved(clear, "WEBP", lossless=True, exact=True), saved(clear, "TIFF")):
        found = quarters(images.decode(content).pixels)
        assert close(found, [(255, 255, 255), (127, 127, 127), BLUE, YELLOW], within=2)
    palette = corners().quantize(4)
    content = saved(palette, transparency=palette.getpixel((0, 0)))
    assert close(quarters(images.decode(content).pixels), [(255, 255, 255), GREEN, BLUE, YELLOW])
    grey = Image.merge("LA", (Image.new("L", (8, 8), 90), Image.new("L", (8, 8), 0)))
    assert images.decode(saved(grey)).pixels.min() == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_shades(images, kind):
    """16 bits are scaled to 8; a file that uses the lowest 8 bits alone is taken as 8-bit."""
    deep = (np.arange(256, dtype=np.uint16)[np.newaxis] * 257).repeat(4, axis=0)
    shades = images.decode(saved(Image.fromarray(deep), kind)).pixels
    np.testing.assert_array_equal(shades[0, :, 0], np.arange(256))
    assert (shades == shades[..., :1]).all()
    low = images.decode(saved(Image.fromarray(deep // 257), kind)).pixels
    np.testing.assert_array_equal(low[0, :, 1], np.arange(256))


def test_float_tiff_with_strange_numbers_decodes(images):
    """Numbers that are no numbers are black, and nothing is raised or warned of."""
    shades = np.array([[0, 100, 255], [np.nan, -5, 1e30]], np.float32)
    pixels = images.decode(saved(Image.fromarray(shades), "TIFF")).pixels
    assert pixels[1, 0].tolist() == pixels[1, 1].tolist() == [0, 0, 0]
    assert pixels[1, 2].tolist() == [255, 255, 255]
    plain = images.decode(saved(Image.fromarray(shades[:1]), "TIFF")).pixels
    assert plain[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "I"])
def test_every_colour_mode_becomes_rgb(images, mode):
    """Whatever colours a file is in, three channels of 8 bits come out, about as bright as they went in."""
    picture = Image.new("RGB", (32, 32), (200, 200, 200))
    picture = picture.convert("L").convert(mode) if mode == "I" else _converted(picture, mode)
    pixels = images.decode(saved(picture, "TIFF")).pixels
    assert (pixels.dtype, pixels.shape) == (np.uint8, (32, 32, 3))
    assert 180 <= pixels.mean() <= 220


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return Image.merge("LAB", [Image.new("L", picture.size, level) for level in (204, 128, 128)])
    return picture.convert(mode)


def test_cmyk_jpeg_has_its_colours(images):
    """A CMYK JPEG, whole or reduced, is not inverted."""
    content = saved(corners(2400, 3000).convert("CMYK"), "JPEG")
    for whole in (False, True):
        assert close(quarters(images.decode(content, whole=whole).pixels), UPRIGHT[1], within=20)


# --- preparing -----------------------------------------------------------------------------------------------------


def photograph_of(picture: Image.Image) -> Photograph:
    return Photograph(np.asarray(picture), "PNG", picture.width, picture.height)


def as_quarters(tensor: np.ndarray) -> list[tuple[int, ...]]:
    return quarters(tensor.transpose(1, 2, 0).round().astype(int))


def test_wide_crops_are_turned_clockwise(images):
    """A lateral, wider than tall, is turned upright where the recipe says so; a tall or square one never is."""
    wide = images.prepare(photograph_of(corners(96, 64)), PLAIN)
    assert wide.shape == (3, 32, 16)
    assert close(as_quarters(wide), [BLUE, RED, YELLOW, GREEN])
    as_it_is = Preprocessing(32, 16, (0.0,) * 3, (1.0,) * 3, turn_wide=False)
    assert close(as_quarters(images.prepare(photograph_of(corners(96, 64)), as_it_is)), UPRIGHT[1])
    for size in ((64, 96), (64, 64)):
        assert close(as_quarters(images.prepare(photograph_of(corners(*size)), PLAIN)), UPRIGHT[1])


def test_turning_follows_the_crop(images):
    """A wide box of a tall photograph is turned, and a tall box of a wide one is not."""
    tall, wide = photograph_of(corners(64, 96)), photograph_of(corners(96, 64))
    assert close(as_quarters(images.prepare(tall, PLAIN, Box(0, 32, 64, 32))), [BLUE, RED, YELLOW, GREEN])
    assert close(as_quarters(images.prepare(wide, PLAIN, Box(32, 0, 32, 64))), UPRIGHT[1])


def test_normalising_is_per_channel(images):
    """(pixel - mean) / std, channel by channel, in 0..255 units, contiguous float32."""
    recipe = Preprocessing(8, 8, (10.0, 20.0, 30.0), (2.0, 4.0, 5.0))
    tensor = images.prepare(photograph_of(Image.new("RGB", (20, 30), (110, 120, 130))), recipe)
    assert tensor.dtype == np.float32
    assert tensor.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(tensor[:, 4, 4], [50.0, 25.0, 20.0])
    assert tensor.std(axis=(1, 2)).max() == 0


def test_letterbox_keeps_the_aspect_on_white(images):
    """Squash fills the input; letterbox pads it with white, the colour of missing pixels."""
    recipe = Preprocessing(40, 40, (0.0,) * 3, (1.0,) * 3, Fit.LETTERBOX)
    tensor = images.prepare(photograph_of(Image.new("RGB", (20, 40), RED)), recipe)
    assert tensor[:, 20, 20].tolist() == list(RED)
    assert tensor[:, 20, 2].tolist() == tensor[:, 20, 37].tolist() == [255, 255, 255]
    squashed = images.prepare(
        photograph_of(Image.new("RGB", (20, 40), RED)), Preprocessing(40, 40, (0.0,) * 3, (1.0,) * 3)
    )
    assert squashed[:, 20, 2].tolist() == list(RED)


def test_box_is_measured_in_the_upright_file(images):
    """A box means the same part of the animal in the whole photograph and in a reduced rendition."""
    content = saved(corners(2400, 3200), "JPEG")
    box = Box(1200, 0, 1200, 1600)
    for whole in (False, True):
        tensor = images.prepare(images.decode(content, whole=whole), PLAIN, box)
        assert close(as_quarters(tensor), [GREEN] * 4)


@pytest.mark.parametrize(
    "box", [Box(-1, 0, 5, 5), Box(0, 0, 0, 5), Box(0, 0, 5, -1), Box(60, 0, 5, 5), Box(0, 92, 5, 5), Box(64, 96, 1, 1)]
)
def test_box_outside_is_refused(images, box):
    """A box that is empty or leaves the photograph is a fault of the caller, for a search and for a thumbnail."""
    photograph = photograph_of(corners())
    with pytest.raises(BadImage, match="outside"):
        images.prepare(photograph, PLAIN, box)
    with pytest.raises(BadImage, match="outside"):
        images.render(photograph, longest=32, box=box)
    assert images.prepare(photograph, PLAIN, Box(63, 95, 1, 1)).shape == (3, 32, 16)


# --- what a file says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_no_place_survives_rendering(images, kind):
    """A thumbnail of a photograph with GPS, EXIF, XMP and a comment holds none of them, in any format."""
    content = _with_place(kind)
    assert b"Beluga Point" in content
    with Image.open(io.BytesIO(content)) as original:
        assert dict(original.getexif().get_ifd(ExifTags.IFD.GPSInfo))
    photograph = images.decode(content)
    assert photograph.taken is not None
    for box, longest in ((None, 48), (Box(0, 0, 32, 32), 32)):
        rendered = images.render(photograph, longest=48, box=box)
        for trace in (b"Beluga Point", b"Exif", b"GPS", b"xmp", b"<rdf", b"ICC_PROFILE", b"60.73"):
            assert trace not in rendered
        with Image.open(io.BytesIO(rendered)) as picture:
            assert (picture.format, max(picture.size)) == ("JPEG", longest)
            assert not picture.getexif()
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def _with_place(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2019:07:21 13:05:09"
    exif[ExifTags.Base.ImageDescription] = "Beluga Point"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: LATITUDE, 3: "W", 4: LONGITUDE})
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf exif:GPSLatitude="60.7371N">Beluga Point</rdf></x:xmpmeta>'
    options = {"xmp": xmp} if kind in {"JPEG", "WEBP", "HEIF"} else {}
    return saved(corners(), kind, exif=exif.tobytes(), **options)


def test_render_is_no_larger_than_asked_and_never_enlarges(images):
    """The longest side is what was asked, or the photograph's own when that is smaller."""
    for longest, size in ((48, (32, 48)), (500, (64, 96))):
        with Image.open(io.BytesIO(images.render(photograph_of(corners()), longest=longest))) as picture:
            assert picture.size == size
            assert close(quarters(np.asarray(picture)), UPRIGHT[1], within=25)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2019:07:21 13:05:09", "2019-07-21 13:05:09"),
        ("2019:07:21 13:05:09\0", "2019-07-21 13:05:09"),
        ("0000:00:00 00:00:00", "None"),
        ("2019:02:30 10:00:00", "None"),
        ("yesterday", "None"),
        ("", "None"),
    ],
)
def test_date_of_the_camera(images, written, read):
    """A date that exists is read, to the second; anything else is no date, and no reason to refuse a photograph."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = written
    assert str(images.decode(saved(corners(), "JPEG", exif=exif)).taken) == read


# --- hostile -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "BMP", "ICO", "PPM", "TGA", "JPEG2000", "AVIF"])
def test_formats_off_the_list_are_refused(images, kind):
    """Pillow could read them, but the fewer parsers a stranger can reach the better."""
    content = saved(corners(), kind)
    for call in (images.probe, images.decode):
        with pytest.raises(BadFormat, match="JPEG, PNG, WEBP, TIFF, HEIF"):
            call(content)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"hello", b"%PDF-1.7", b"<svg xmlns='x'/>"])
def test_what_is_no_photograph_is_refused(images, content):
    """Text, documents and a bare signature are no photographs."""
    for call in (images.probe, images.decode):
        with pytest.raises(BadImage):
            call(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
@pytest.mark.parametrize("part", [0.5, 0.99])
def test_truncated_photographs_are_refused(images, kind, part):
    """A file that was cut off in transit is no photograph with a grey half."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (120, 90, 3), dtype=np.uint8))
    content = saved(noise, kind)
    with pytest.raises(BadImage, match=r"cannot be decoded|not a photograph"):
        images.decode(content[: int(len(content) * part)])


def test_limits_of_bytes_and_pixels(images):
    """The limit itself passes; one more byte or pixel does not."""
    content = saved(corners())
    assert PillowImages(max_bytes=len(content), max_pixels=64 * 96).decode(content).pixels.shape == (96, 64, 3)
    for strict in (PillowImages(max_bytes=len(content) - 1), PillowImages(max_pixels=64 * 96 - 1)):
        for call in (strict.probe, strict.decode):
            with pytest.raises(TooLarge, match="more than"):
                call(content)


def jpeg_claiming(width: int, height: int) -> bytes:
    content = bytearray(saved(corners(), "JPEG"))
    place = content.index(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def webp_claiming(width: int, height: int) -> bytes:
    content = bytearray(saved(corners().convert("RGBA"), "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"))
    place = content.index(b"VP8X")
    content[place + 12 : place + 18] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(content)


BOMBS = {
    "PNG 65,000 x 65,000": lambda: png(65_000, 65_000),
    "PNG just above": lambda: png(8_001, 5_000),
    "PNG between the limits of Pillow": lambda: png(10_000, 10_000),
    "JPEG 65,000 x 65,000": lambda: jpeg_claiming(65_000, 65_000),
    "JPEG just above": lambda: jpeg_claiming(8_001, 5_000),
    "TIFF 65,000 x 65,000": lambda: tiff(65_000, 65_000),
    "TIFF of one huge tile": lambda: tiff(
        64, 64, (322, 4, 1, struct.pack("<I", 30_000)), (323, 4, 1, struct.pack("<I", 30_000))
    ),
    "WEBP 16,000 x 16,000": lambda: webp_claiming(16_000, 16_000),
}


@pytest.mark.parametrize("made", BOMBS.values(), ids=BOMBS)
def test_huge_claims_are_refused_before_allocation(images, made):
    """What would not fit is refused by its header; no more than a few megabytes are taken to find out."""
    content = made()
    tracemalloc.start()
    try:
        for call in (images.probe, images.decode):
            with pytest.raises((TooLarge, BadImage)):
                call(content)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def rationals(count: int) -> bytes:
    return struct.pack("<II", 1, 1) * count


def exif_of_rationals(count: int) -> bytes:
    head = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, ExifTags.Base.Orientation, 5, count, 26) + bytes(4)
    return head + rationals(count)


def jpeg_after(filling: bytes) -> bytes:
    content = saved(corners(), "JPEG")
    return content[:2] + filling + content[2:]


def jpeg_of_scans(scans: int) -> bytes:
    content = saved(Image.new("RGB", (1024, 1024)), "JPEG", progressive=True)
    start, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    return content[:end] + content[start:end] * scans + content[end:]


TIME_BOMBS = {
    "JPEG of fill bytes": lambda: jpeg_after(b"\xff" * 3_000_000),
    "JPEG of empty comments": lambda: jpeg_after(b"\xff\xfe\0\2" * 800_000),
    "JPEG of many scans": lambda: jpeg_of_scans(5_000),
    "PNG of empty texts": lambda: png(8, 8, chunk(b"tEXt", b"k\0v") * 100_000, pixels=bytes(72)),
    "PNG of a text bomb": lambda: png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))),
    "PNG of many text bombs": lambda: png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000))) * 80),
    "PNG of an ICC bomb": lambda: png(8, 8, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50_000_000)))),
    "PNG with an EXIF of rationals": lambda: png(8, 8, chunk(b"eXIf", exif_of_rationals(400_000)), pixels=bytes(72)),
    "TIFF with an orientation of rationals": lambda: tiff(
        8, 8, (274, 5, 400_000, rationals(400_000)), pixels=bytes(64)
    ),
    "TIFF with a resolution of rationals": lambda: tiff(8, 8, (282, 5, 400_000, rationals(400_000)), pixels=bytes(64)),
}


@pytest.mark.parametrize("made", TIME_BOMBS.values(), ids=TIME_BOMBS)
def test_files_that_keep_a_parser_busy_are_refused(images, made):
    """A few megabytes of metadata, pieces or scans would take minutes to read at 50 MB: they are refused early."""
    with pytest.raises(BadImage, match="cannot be decoded"):
        images.decode(made())


def test_honest_metadata_passes(images):
    """The limits on metadata are far above what cameras and editors write."""
    assert images.decode(jpeg_of_scans(50)).width == 1024
    assert images.decode(png(8, 8, chunk(b"tEXt", b"k\0v") * 500, pixels=bytes(72))).width == 8
    assert images.decode(tiff(8, 8, (282, 5, 1, rationals(1)), pixels=bytes(64))).width == 8
    layers = tiff(8, 8, (37_724, 7, 3_000_000, bytes(3_000_000)), pixels=bytes(64))
    assert images.decode(layers).width == 8
    many_strips = saved(Image.new("L", (4, 20_000)), "TIFF", tiffinfo={278: 1})
    assert images.decode(many_strips).height == 20_000
    in_small_pieces = io.BytesIO()
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (800, 800, 3), dtype=np.uint8))
    noise.save(in_small_pieces, "PNG")
    assert images.decode(in_small_pieces.getvalue()).width == 800


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "MPO", "PNG"])
def test_first_frame_stands_for_all(images, kind):
    """Of a file with many frames the first is taken, and the others cost nothing; an MPO is a JPEG."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in [RED, *[BLUE] * 300]]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    photograph = images.decode(content)
    assert photograph.format == images.probe(content)[0] == ("JPEG" if kind == "MPO" else kind)
    assert close(quarters(photograph.pixels), [RED] * 4)


def test_out_of_memory_is_a_refusal(images, monkeypatch):
    """A photograph for which there is no memory is refused; the service goes on."""

    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(pillow_images, "_rgb", exhausted)
    with pytest.raises(BadImage, match="MemoryError"):
        images.decode(saved(corners()))


def test_pillow_warns_nobody(recwarn, images):
    """What Pillow repairs is not told to the log, file by file; warnings of others are as they were."""
    broken_apng = png(8, 8, chunk(b"acTL", bytes(8)), pixels=bytes(72))
    broken_tag = tiff(8, 8, (282, 5, 9_999, b"\xff\xff\xff\x7f"), pixels=bytes(64))
    for content in (broken_apng, broken_tag):
        assert images.decode(content).width == 8
    assert not recwarn.list


# --- the corpus of files that nobody here wrote --------------------------------------------------------------------


def corpus_files(folder: Path) -> list[Path]:
    return [path for part in ("img", "exif") for path in sorted((folder / part).rglob("*")) if path.is_file()]


def test_every_bad_input_is_a_photograph_or_a_refusal(images, shared_data, capfd):
    """1,182 hostile or broken files: each decodes or is refused with a reason, as bare Pillow would judge it."""
    folder = shared_data / "bad-inputs"
    with (folder / "BASELINE_PILLOW.csv").open(newline="") as sheet:
        baseline = {row["file"]: row["outcome"] for row in csv.DictReader(sheet)}
    accepted, otherwise, slowest = 0, [], (0.0, "")
    for path in corpus_files(folder):
        name, started = path.relative_to(folder).as_posix(), time.process_time()
        try:
            photograph = images.decode(path.read_bytes(), whole=True)
            assert photograph.pixels.shape == (photograph.height, photograph.width, 3)
            assert images.probe(path.read_bytes()) == (photograph.format, photograph.width, photograph.height)
            images.prepare(photograph, PLAIN)
            images.render(photograph, longest=256)
            outcome = "accept"
            accepted += 1
        except (InvalidInput, TooLarge) as error:
            assert str(error)
            assert "object at" not in str(error)
            outcome = "reject"
        slowest = max(slowest, (time.process_time() - started, name))
        if outcome != baseline.get(name, outcome):
            otherwise.append((name, outcome))
    noise = len(capfd.readouterr().err.splitlines())
    with capfd.disabled():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"\n{accepted} accepted, {noise} lines of libtiff, slowest {slowest}, peak {peak} MB")
    assert accepted > 250
    assert otherwise == []
