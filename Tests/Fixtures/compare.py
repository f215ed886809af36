#!/usr/bin/env python3
"""Compares two safetensors files, tensor by tensor.

    python3 Tests/Fixtures/compare.py EXPECTED ACTUAL [--tolerance 2e-5] [--all]

Prints the relative L2 difference ‖actual − expected‖ / ‖expected‖ of each tensor, worst first
(the worst ten, or all). Exit code 1 when one is above the tolerance or not finite, is missing from
ACTUAL or has another shape; 2 when a file cannot be read. Tensors only in ACTUAL are named and
not compared. Needs only numpy.
"""

import argparse
import json
import math
import pathlib
import sys

import numpy

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


def read(path):
    """The tensors of a safetensors file, as float64."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ValueError(f"{path}: not a safetensors file, or truncated")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body, tensors = data[8 + length :], {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        if last > len(body):
            raise ValueError(f"{path}: {name} ends beyond the file's end")
        if entry["dtype"] == "BF16":
            bits = numpy.frombuffer(body[first:last], "<u2").astype("<u4") << 16
            values = bits.view("<f4")
        elif entry["dtype"] in TYPES:
            values = numpy.frombuffer(body[first:last], TYPES[entry["dtype"]])
        else:
            raise ValueError(f"{path}: {name} has the unknown type {entry['dtype']}")
        tensors[name] = values.reshape(entry["shape"]).astype(numpy.float64)
    return tensors


def relative(actual, expected):
    """Relative L2 difference; the plain norm of `actual` where `expected` is zero."""
    scale = numpy.linalg.norm(expected)
    return float(numpy.linalg.norm(actual - expected) / (scale if scale > 0 else 1.0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("expected")
    parser.add_argument("actual")
    parser.add_argument("--tolerance", type=float, default=2e-5)
    parser.add_argument("--all", action="store_true", help="print every tensor")
    options = parser.parse_args()
    try:
        expected, actual = read(options.expected), read(options.actual)
    except (OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return 2

    wrong, differences = [], []
    for name, value in expected.items():
        if name not in actual:
            wrong.append(f"missing from {options.actual}: {name}")
        elif actual[name].shape != value.shape:
            wrong.append(f"{name}: shape {actual[name].shape}, expected {value.shape}")
        else:
            difference = relative(actual[name], value)
            differences.append((difference if math.isfinite(difference) else math.inf, name))
    differences.sort(reverse=True)
    above = sum(difference > options.tolerance for difference, _ in differences)

    for difference, name in differences if options.all else differences[: max(10, above)]:
        mark = "  above the tolerance" if difference > options.tolerance else ""
        print(f"{difference:9.2e}  {name}{mark}")
    for line in wrong:
        print(line)
    extra = sorted(actual.keys() - expected.keys())
    if extra:
        print(f"not compared, only in {options.actual}: {', '.join(extra)}")
    count = len(differences)
    print(f"{count} tensors compared, {above} above {options.tolerance:g}, {len(wrong)} wrong")
    return 1 if above or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
