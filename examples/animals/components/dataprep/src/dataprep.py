"""Pictures of one animal: one mode, one size, in a folder that carries the label."""

import argparse
from pathlib import Path

from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--output_data", type=Path, required=True)
    args = parser.parse_args()
    target = args.output_data / args.label
    target.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in args.data.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"no pictures in {args.data}")
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            image.convert("RGB").resize((args.size, args.size), Image.Resampling.BILINEAR).save(
                target / f"{number:05d}.png"
            )
    print(f"{args.label}: {len(paths)} pictures")


if __name__ == "__main__":
    main()
