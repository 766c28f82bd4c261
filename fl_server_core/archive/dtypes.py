"""The element types that an archive may hold, by torch's names for them."""

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "float8_e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "complex64": np.dtype("<c8"),
    "complex128": np.dtype("<c16"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"),
    "uint32": np.dtype("<u4"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}

STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
"""The element type by the class that a pickled storage names; an untyped one counts bytes."""
_EXTENDED = frozenset(dtype for name, dtype in DTYPES.items() if name.startswith(("bfloat", "float8")))
_EXPONENTS = {DTYPES["float16"]: np.uint16(0x7C00), DTYPES["bfloat16"]: np.uint16(0x7F80)}


def is_floating(dtype: str) -> bool:
    """Whether values of this type may be infinite or not a number."""
    return dtype.startswith(("float", "bfloat", "complex"))


def is_extended(dtype: np.dtype[Any]) -> bool:
    """Whether numpy knows the type through ml_dtypes only."""
    return dtype in _EXTENDED


def is_finite(array: Array) -> Array:
    """Which values are finite."""
    exponent = _EXPONENTS.get(array.dtype)
    if exponent is not None:
        # Several times as fast as numpy's own test: an exponent of ones is an infinity or no number.
        return np.asarray((array.view("<u2") & exponent) != exponent)
    return np.asarray(np.isfinite(array))


def bit_views(array: Array) -> tuple[Array, ...]:
    """The same memory as unsigned integers, so that equal means bit by bit; real and imaginary part if complex."""
    if array.dtype.kind == "c":
        return bit_views(array.real) + bit_views(array.imag)
    return (array.view(f"<u{array.dtype.itemsize}"),)
