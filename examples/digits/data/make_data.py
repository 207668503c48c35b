"""Write scikit-learn's bundled handwritten digits (1,797 real scans, 8x8) as PNG files with alpha: one folder per digit."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
GREYS = 16  # the scans have 17 grey levels, 0 to 16


def main() -> None:
    digits = load_digits()
    for number, (scan, label) in enumerate(zip(digits.images, digits.target)):
        folder = HERE / str(label)
        folder.mkdir(exist_ok=True)
        path = folder / f"scan_{number:04d}.png"
        if path.exists():
            continue
        ink = (scan * (255 / GREYS)).round().astype(np.uint8)
        white = np.full(ink.shape, 255, np.uint8)
        Image.fromarray(np.dstack([white, white, white, ink])).save(path)


if __name__ == "__main__":
    main()
