"""Pictures of each label shared between training and test, by percentage and seed; one folder per label on both sides."""

import argparse
import random
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--digit", nargs=2, action="append", metavar=("LABEL", "FOLDER"), required=True)
    parser.add_argument("--percentage", type=int, required=True, help="of the pictures that become test data")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--training_data", type=Path, required=True)
    parser.add_argument("--testing_data", type=Path, required=True)
    args = parser.parse_args()
    for label, folder in args.digit:
        paths = sorted(Path(folder).glob("*.png"))
        random.Random(args.seed).shuffle(paths)
        tests = max(1, round(len(paths) * args.percentage / 100))
        for target, chosen in ((args.testing_data, paths[:tests]), (args.training_data, paths[tests:])):
            (target / label).mkdir(parents=True, exist_ok=True)
            for path in chosen:
                shutil.copyfile(path, target / label / path.name)
        print(f"{label}: {len(paths) - tests} for training, {tests} for test")


if __name__ == "__main__":
    main()
