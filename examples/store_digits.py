"""Makes the demo's data file from scikit-learn's handwritten digits.

.venv/bin/python -m examples.store_digits
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from fl_server_demo.digits import DATA


def main() -> None:
    """Write the file anew."""
    digits = load_digits()
    np.savez_compressed(DATA, images=digits.data.astype(np.uint8), classes=digits.target.astype(np.uint8))


if __name__ == "__main__":
    main()
