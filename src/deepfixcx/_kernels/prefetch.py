"""Ask for memory before it is needed.

The Haar kernel reads an image once, in short strips, and computes on each strip for about as long
as the next one takes to arrive. Processors do not guess that pattern; told, they fetch the next
strip while this one is worked. The same goes for the places of a code, which lie far apart: at
level 6 that doubled the speed. Numba has no name for the instruction, so it is built here.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["prefetch_code", "prefetch_rows"]

CACHE_LINE = 64
READ, SOON, DATA = 0, 2, 1
"""Arguments of LLVM's prefetch: for reading, into the second-level cache, data."""


def _build_prefetch(_typing_context: Any, array: Any, _index: Any) -> Any:
    """Fetch the cache line of one element of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer_type = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [pointer_type],
            ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number]),
        )
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), pointer_type)
        builder.call(function, [address, number(READ), number(SOON), number(DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


_prefetch: Any = intrinsic(_build_prefetch)


@numba.njit(cache=True, nogil=True)
def prefetch_rows(images, n, top, rows):
    """Fetch `rows` rows of image `n` from `top` on, or the first ones of the next image."""
    if top >= images.shape[1]:
        n += 1
        top = 0
    if n < images.shape[0]:
        pixels = images[n, top : min(images.shape[1], top + rows)].reshape(-1)
        for c in range(0, pixels.size, CACHE_LINE // images.itemsize):
            _prefetch(pixels, c)


@numba.njit(nogil=True)
def prefetch_code(code, n, part, parts):
    """Fetch one of so many parts of the code of image `n`, which will be written soon."""
    numbers = code[n].reshape(-1)
    begin, end = numbers.size * part // parts, numbers.size * (part + 1) // parts
    for c in range(begin, end, CACHE_LINE // code.itemsize):
        _prefetch(numbers, c)
