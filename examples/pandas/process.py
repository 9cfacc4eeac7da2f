"""Reads a Parquet file, adds two features, and writes Parquet again."""

import logging
import os
import sys

import numpy as np
import pandas as pd

INPUT = os.environ.get("INPUT", "/data/input/sample.parquet")
OUTPUT = os.environ.get("OUTPUT", "/data/output/processed.parquet")


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds the square root of A and the logarithm of one plus B."""
    return frame.assign(A_sqrt=np.sqrt(frame["A"]), B_log=np.log1p(frame["B"]))


def main() -> int:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        frame = pd.read_parquet(INPUT)
    except FileNotFoundError:
        logging.error("no input at %s", INPUT)
        return 1
    os.makedirs(os.path.dirname(OUTPUT), exist_ok=True)
    features(frame).to_parquet(OUTPUT)
    logging.info("wrote %d rows to %s", len(frame), OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
