"""Small made-up pictures of three animals (round black-and-white, pointed-eared, long-eared), one folder each: a stand-in for photographs."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

EACH = 60
SIDE = 72
SEED = 4
ANIMALS = {"pandas": (235, 235, 235), "cats": (205, 140, 70), "dogs": (140, 95, 60)}


def draw(animal: str, rng: random.Random) -> Image.Image:
    ground = tuple(rng.randint(70, 200) for _ in range(3))
    image = Image.new("RGB", (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(image)
    x, y, r = rng.randint(30, 42), rng.randint(34, 42), rng.randint(17, 22)
    fur = tuple(max(0, min(255, c + rng.randint(-25, 25))) for c in ANIMALS[animal])
    if animal == "pandas":
        for side in (-1, 1):
            pen.ellipse([x + side * r - 8, y - r - 8, x + side * r + 8, y - r + 8], fill=(25, 25, 25))
    elif animal == "cats":
        for side in (-1, 1):
            pen.polygon([(x + side * r, y - r - 12), (x + side * r, y - 4), (x + side * 4, y - r + 2)], fill=fur)
    pen.ellipse([x - r, y - r, x + r, y + r], fill=fur)
    if animal == "dogs":
        for side in (-1, 1):
            pen.ellipse([x + side * r - 6, y - r + 2, x + side * r + 6, y + r + 4], fill=tuple(c // 2 for c in fur))
    for side in (-1, 1):
        eye = 7 if animal == "pandas" else 3
        pen.ellipse([x + side * 8 - eye, y - 4 - eye, x + side * 8 + eye, y - 4 + eye], fill=(20, 20, 20))
    pen.ellipse([x - 3, y + 4, x + 3, y + 9], fill=(30, 20, 20))
    return image


def main() -> None:
    for animal in ANIMALS:
        rng = random.Random(f"{SEED}-{animal}")
        folder = Path(__file__).parent / animal
        folder.mkdir(exist_ok=True)
        for number in range(EACH):
            draw(animal, rng).save(folder / f"{number:03d}.png")


if __name__ == "__main__":
    main()
