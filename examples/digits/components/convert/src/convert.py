"""Every picture of a folder: transparency on black, grey, one size."""

import argparse
from pathlib import Path

from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}


def convert(path: Path, size: int) -> Image.Image:
    """The picture as the model will see it."""
    with Image.open(path) as image:
        if "A" in image.getbands() or "transparency" in image.info:
            ground = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(ground, image.convert("RGBA"))
        return image.convert("RGB").convert("L").resize((size, size), Image.Resampling.BILINEAR)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--converted", type=Path, required=True)
    args = parser.parse_args()
    args.converted.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in args.images.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"no pictures in {args.images}")
    for path in paths:
        convert(path, args.size).save(args.converted / f"{path.stem}.png")
    print(f"{len(paths)} pictures")


if __name__ == "__main__":
    main()
