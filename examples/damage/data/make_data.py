"""A table like an insurer's: 37 typed columns, a known signal in nine of them, and one customer in six with damage."""

from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 2400
SEED = 20
TARGET = "damage_incidence"
WHOLE = [
    "age",
    "years_insured",
    "vehicle_age",
    "claims_before",
    "household_size",
    "vehicles",
    "mileage_class",
    "power_class",
    "region_code",
    "bonus_level",
    "payments_late",
    "contacts",
]
REAL = [
    "income",
    "vehicle_value",
    "premium",
    "night_share",
    "city_share",
    "distance_mean",
    "speed_mean",
    "brake_hard_rate",
    "credit_score",
    "home_value",
    "rain_share",
    "fuel_cost",
    "service_gap",
]
FILL = [f"profile_{i:02d}" for i in range(1, 37 - len(WHOLE) - len(REAL) + 1)]


def main() -> None:
    rng = np.random.default_rng(SEED)
    table = pd.DataFrame({name: rng.integers(0, 12, ROWS) for name in WHOLE})
    table["age"] = rng.integers(18, 90, ROWS)
    for name in REAL:
        table[name] = rng.normal(0, 1, ROWS).round(4)
    for name in FILL:
        table[name] = rng.normal(0, 1, ROWS).round(4)
    signal = (
        1.3 * table["brake_hard_rate"]
        + 1.1 * table["night_share"]
        + 0.9 * table["speed_mean"]
        + 0.8 * table["city_share"]
        + 0.35 * (table["claims_before"] - 5)
        - 0.9 * table["credit_score"]
        + 0.25 * (table["power_class"] - 5)
        - 0.03 * (table["age"] - 50)
        + 0.6 * table["brake_hard_rate"] * table["night_share"]
    )
    noisy = signal + rng.normal(0, 1.2, ROWS)
    table[TARGET] = (noisy > np.quantile(noisy, 5 / 6)).astype(int)
    path = Path(__file__).parent / "train_cleaned.csv"
    table.to_csv(path, index=False)
    print(f"{len(table)} rows, {len(table.columns) - 1} columns, {table[TARGET].mean():.1%} with damage")


if __name__ == "__main__":
    main()
