"""What is drawn on the page is centred and scaled as the pictures of training were, as far as rows kept with the model tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tidemill.serve.drawing import describe_drawing
from tidemill.serve.signature import Golden, ImageSpec, ModelSignature


def kept(pictures: list[np.ndarray], **image: object) -> ModelSignature:
    spec = ImageSpec(size=(28, 28), **image)  # type: ignore[arg-type]
    inputs = tuple({"pixels": p.reshape(-1).tolist()} for p in pictures)
    return ModelSignature(Path(), "image", image=spec, golden=Golden(inputs))


def bar(top: int, left: int, height: int, width: int, heavy_end: int = 0) -> np.ndarray:
    picture = np.zeros((28, 28))
    picture[top : top + height, left : left + width] = 200
    picture[top : top + heavy_end, left : left + width + 4] = 200
    return picture


def test_the_box_and_the_centre_are_those_of_the_kept_rows() -> None:
    by_box = [bar(4, 10, 20, 8, heavy_end=n) for n in (0, 5, 9)]
    assert describe_drawing(kept([bar(4, 10 - n // 9, 20, 8) for n in (0, 5, 9)]))["box"] == pytest.approx(
        20 / 28, abs=0.001
    )  # type: ignore[index]
    centred = [np.roll(p, (0, -2 if n else 0), axis=(0, 1)) for n, p in zip((0, 5, 9), by_box, strict=True)]
    assert describe_drawing(kept(centred)) == {"box": 0.714, "centre": "box"}


def test_dark_ink_on_light_ground_and_a_full_frame() -> None:
    dark = [255 - bar(0, 5 + n, 28, 3) for n in range(3)]
    assert describe_drawing(kept(dark, ink="dark"))["box"] == 1.0  # type: ignore[index]


def test_without_rows_it_is_the_usual_and_colour_is_not_drawn() -> None:
    assert describe_drawing(kept([])) == {"box": 20 / 28, "centre": "mass"}
    assert describe_drawing(kept([np.zeros((28, 28))] * 5)) == {"box": 20 / 28, "centre": "mass"}
    assert describe_drawing(ModelSignature(Path(), "image", image=ImageSpec(mode="RGB"))) is None
