"""How pictures of training lay in their frames, so that what people draw is centred and scaled alike: read from rows kept with the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill.serve.decode import decode
from tidemill.serve.samples import kept_requests
from tidemill.serve.signature import ModelSignature

Array = npt.NDArray[Any]
INK = 0.08  # of the way from the ground to full ink
FEWEST = 3
USUAL: Mapping[str, Any] = {"box": 20 / 28, "centre": "mass"}  # as the handwritten digits sets were made


def describe_drawing(signature: ModelSignature) -> Mapping[str, Any] | None:
    """`box` is the share of the frame that ink's longer side fills, `centre` what lies in the middle: the ink's mass, or its box."""
    image = signature.image
    if image is None or image.channels != 1:
        return None
    low, high = image.range
    width, height = image.size
    kept = [decode(signature, item).rows[0].reshape(height, width) for item in kept_requests(signature)]
    shares = [(row - low) / (high - low) for row in kept]
    pictures = [share if image.ink == "light" else 1 - share for share in shares]
    found = [lie for lie in map(_lie, pictures) if lie is not None]
    if len(found) < FEWEST:
        return USUAL
    sides, masses, boxes = (np.array(part) for part in zip(*found, strict=True))
    centre = "mass" if masses.std(axis=0).sum() <= boxes.std(axis=0).sum() else "box"
    return {"box": round(float(np.median(sides)), 3), "centre": centre}


def _lie(ink: Array) -> tuple[float, Array, Array] | None:
    """The share of the frame the ink's longer side fills, and where its mass and its box have their middles; None without ink."""
    rows, columns = np.nonzero(ink > INK)
    if not len(rows):
        return None
    spans = [(int(at.min()), int(at.max()) + 1) for at in (rows, columns)]
    side = max((end - start) / size for (start, end), size in zip(spans, ink.shape, strict=True))
    weights = ink[rows, columns]
    mass = np.array([np.average(at + 0.5, weights=weights) for at in (rows, columns)])
    return side, mass, np.array([(start + end) / 2 for start, end in spans])
