#!/usr/bin/env bash
# numba 0.68.1: two functions made by one factory (a closure under njit) have one name, and their machine code is told
# apart by a number that each process counts anew. Two functions with cache=True that call them get each other's
# closure as soon as one is compiled and the other is loaded from the cache in one process, or both are loaded: the
# results are wrong, without an error or warning. A __qualname__ of its own for each closure prevents it. Exits 1
# if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cat >sums.py <<'PYTHON'
import sys

import numba
import numpy as np

NAMED = sys.argv[1] == "named"


def make(factor, name):
    def total(values):
        found = 0.0
        for _ in range(3):
            for value in values:
                if value > 0:
                    found += value * factor
                else:
                    found -= value
        return found

    if NAMED:
        total.__qualname__ = name
    return numba.njit(total)


by_one, by_ten = make(1.0, "by_one"), make(10.0, "by_ten")


@numba.njit(cache=True)
def first(values):
    return by_one(values) + by_one(values[1:]) + by_one(values[2:])


@numba.njit(cache=True)
def second(values):
    return by_ten(values) + by_ten(values[1:]) + by_ten(values[2:])


print(*(int(globals()[name](np.ones(5))) for name in sys.argv[2:]))
PYTHON
run() { # KIND FUNCTION...: call the functions in a process of their own
    env/bin/python sums.py "$@"
}
run plain first >/dev/null # first is in the cache now
mixed=$(run plain second first)
cached=$(run plain first second)
rm -rf __pycache__
run named first >/dev/null
named="$(run named second first), $(run named first second)"
echo "right values: first 36, second 360"
echo "second compiled, then first from the cache: second and first are $mixed"
echo "both from the cache: first and second are $cached"
echo "with a __qualname__ of each closure: $named"
[ "$mixed" = "360 360" ] && [ "$cached" = "36 36" ] && [ "$named" = "360 36, 36 360" ]
