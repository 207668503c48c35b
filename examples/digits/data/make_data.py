"""Write scikit-learn's bundled handwritten digits (1,797 real scans, 8x8) as PNG files with alpha: one folder per digit.

The scans are enlarged and their blur is cut off, and the ink stands in the middle with a margin: as on the page people draw on.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
GREYS = 16  # the scans have 17 grey levels, 0 to 16
SIDE = 56
INK = (48, 44)  # width and height of the enlarged scan
BLUR, GAIN = 120, 2.2


def picture(scan: np.ndarray) -> Image.Image:
    """White ink on transparent ground."""
    small = Image.fromarray((scan * (255 / GREYS)).round().astype(np.uint8))
    ink = np.asarray(small.resize(INK, Image.Resampling.BICUBIC)).astype(float)
    ink = ((ink - BLUR) * GAIN).clip(0, 255).round().astype(np.uint8)
    rows, columns = np.mgrid[: INK[1], : INK[0]]
    middle = [SIDE / 2 - (axis * ink).sum() / ink.sum() for axis in (columns, rows)]
    left, top = (int(np.clip(round(m), 0, SIDE - size)) for m, size in zip(middle, INK))
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[top : top + INK[1], left : left + INK[0]] = ink
    white = np.full(alpha.shape, 255, np.uint8)
    return Image.fromarray(np.dstack([white, white, white, alpha]))


def main() -> None:
    digits = load_digits()
    for number, (scan, label) in enumerate(zip(digits.images, digits.target)):
        folder = HERE / str(label)
        folder.mkdir(exist_ok=True)
        picture(scan).save(folder / f"scan_{number:04d}.png")


if __name__ == "__main__":
    main()
