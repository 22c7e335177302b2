"""Local features by OpenCV, on photographs of made-up animals."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from app.adapters.opencv_local import OpencvLocal
from app.adapters.pillow_survey import photograph
from app.domain.errors import ModelUnavailable
from app.domain.survey import SurveyPlan, shot

PLAN = SurveyPlan(individuals=4, photographs=12, longest=384)


def jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=88)
    return stream.getvalue()


def animal(number: int) -> Image.Image:
    return photograph(PLAN, number)[1]


def test_a_turned_and_smaller_photograph_agrees_and_another_animal_does_not():
    """Many features agree with the same photograph turned and scaled, few with another animal's; twice the same."""
    pytest.importorskip("cv2")
    local, first = OpencvLocal(), animal(0)
    turned = first.resize((first.width * 3 // 4, first.height * 3 // 4)).rotate(8, expand=True)
    whales = [shot(PLAN, number).individual for number in range(12)]
    other = next(number for number in range(12) if whales[number] != whales[0])
    one, same, different = (local.describe(jpeg(picture)) for picture in (first, turned, animal(other)))
    assert one.descriptors.dtype == np.uint8
    assert local.agreeing(one, same) > 3 * max(local.agreeing(one, different), 3)
    assert local.agreeing(one, same) == local.agreeing(one, same)
    assert local.agreeing(one, one) <= len(one.positions)


def test_a_picture_without_marks_agrees_with_nothing():
    """An even picture has no features, and nothing is made up for it."""
    pytest.importorskip("cv2")
    local = OpencvLocal()
    even, marked = local.describe(jpeg(Image.new("RGB", (90, 90), "grey"))), local.describe(jpeg(animal(0)))
    assert len(even.positions) == len(even.descriptors) == 0
    assert local.agreeing(even, marked) == local.agreeing(marked, even) == 0
    assert local.fingerprint == OpencvLocal().fingerprint


def test_without_opencv_the_profile_says_what_to_install(monkeypatch):
    """Nothing is imported before it is needed, and then the sentence names the extra."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModelUnavailable, match=r"resight\[local\]"):
        OpencvLocal().describe(b"")
