"""Every label's pictures shared between training and test, by percentage and a fixed seed."""

import argparse
import random
import shutil
from pathlib import Path

SEED = 42


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--animals", type=Path, nargs="+", required=True)
    parser.add_argument("--train_test_split_percentage", type=int, required=True)
    parser.add_argument("--training_data", type=Path, required=True)
    parser.add_argument("--testing_data", type=Path, required=True)
    args = parser.parse_args()
    for folder in args.animals:
        for label in sorted(p for p in folder.iterdir() if p.is_dir()):
            paths = sorted(label.glob("*.png"))
            random.Random(SEED).shuffle(paths)
            tests = max(1, round(len(paths) * args.train_test_split_percentage / 100))
            for target, chosen in ((args.testing_data, paths[:tests]), (args.training_data, paths[tests:])):
                (target / label.name).mkdir(parents=True, exist_ok=True)
                for path in chosen:
                    shutil.copyfile(path, target / label.name / path.name)


if __name__ == "__main__":
    main()
