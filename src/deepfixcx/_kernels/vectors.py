"""Vector instructions that numba has no name for: splits across vectors and within one.

A Haar split turns two numbers into their sum and their difference. Compilers vectorize that where
partners stand in different rows. Where they are neighbours in one row, compilers shuffle numbers
apart and write both halves to memory at every split. Here a vector stays in its register instead:
each lane is added to its partner with the sign that it needs, the result stands where the number
stood, and nothing is moved. Lane t then holds the frequency whose bits are those of t, and vectors
are pooled by adding them to each other. For levels 1 to 3 this is twice as fast, the whole split
being a handful of instructions between one read of the pixels and one sum.

Each function here makes an instruction: a function for kernels that takes addresses, so that loops
over rows and columns stay loops of numba. Instructions are compiled for the host like everything
else, and sums are added up in one order, however wide a vector is: first rows, then columns, from
the first split to the last. So results are the same on every processor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

__all__ = [
    "LANES",
    "LANE_LEVELS",
    "VECTOR_BYTES",
    "adder",
    "block_pooler",
    "copier",
    "fetcher",
    "merger",
    "parter",
    "pooler",
    "splitter",
    "transposer",
    "weaver",
]

FEATURES = vars(config)["CPU_FEATURES"] or binding.get_host_cpu_features().flatten()
"""What numba compiles for: this processor, unless NUMBA_CPU_FEATURES says otherwise."""

LANE_LEVELS = 4 if "+avx512f" in FEATURES else 3
"""Splits that fit within a vector."""

LANES = 1 << LANE_LEVELS
"""float32 numbers in a vector."""

VECTOR_BYTES = 4 * LANES

TURNED = 8
"""Numbers on a side of the squares that are transposed."""

FLOAT = ir.FloatType()
INDEX = ir.IntType(32)

Emit = Callable[[Any, Any, list[Any]], None]


def splitter(levels: int, lane_levels: int) -> Any:
    """Make ``f(array, source, step, target, target_step)`` that does several splits at once."""

    def emit(builder: Any, dtype: Any, addresses: list[Any]) -> None:
        source, step, target, target_step = addresses
        vectors = _read_and_split(builder, dtype, source, step, levels, lane_levels)
        _write(builder, vectors, target, target_step)

    return _instruction(emit, 4)


def pooler(levels: int, lane_levels: int) -> Any:
    """Make ``f(array, source, step, target, target_step)`` that does the last splits and pools."""

    def emit(builder: Any, dtype: Any, addresses: list[Any]) -> None:
        source, step, target, target_step = addresses
        vectors = _read_and_split(builder, dtype, source, step, levels, lane_levels)
        sums = _read(builder, types.float32, target, target_step, levels)
        for i, vector in enumerate(vectors):
            sums[i] = builder.fadd(sums[i], _absolute(builder, vector))
        _write(builder, sums, target, target_step)

    return _instruction(emit, 4)


def block_pooler(levels: int) -> Any:
    """Make ``f(array, source, row, slice, target, step)``: all splits of cubes of 2**levels.

    It reads the rows of all slices, and adds absolute values to as many rows of sums.
    """

    def emit(builder: Any, dtype: Any, addresses: list[Any]) -> None:
        source, row, slice_step, target, step = addresses
        vectors = []
        for place in _places(builder, source, slice_step, 1 << levels):
            vectors += _read_and_split(builder, dtype, place, row, levels, levels)
        side = 1 << levels
        for r in range(side):  # between slices, rows of one place
            vectors[r::side] = _split_across(builder, vectors[r::side])
        sums = _places(builder, target, step, len(vectors))
        for place, vector in zip(sums, vectors, strict=True):
            total = builder.fadd(_load(builder, place), _absolute(builder, vector))
            _store(builder, total, place)

    return _instruction(emit, 5)


def fetcher(lines: int) -> Any:
    """Make ``f(array, address, step)`` that fetches cache lines soon needed, wherever they lie."""

    def emit(builder: Any, _dtype: Any, addresses: list[Any]) -> None:
        pointer = ir.IntType(8).as_pointer()
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [pointer], ir.FunctionType(ir.VoidType(), [pointer, *[INDEX] * 3])
        )
        for place in _places(builder, addresses[0], addresses[1], lines):
            line = builder.inttoptr(place, pointer)
            builder.call(function, [line, *(ir.Constant(INDEX, n) for n in (0, 2, 1))])

    return _instruction(emit, 2)


def merger(levels: int, lane_levels: int) -> Any:
    """Make ``f(array, source, step)``: undo `lane_levels` splits within lanes, `levels` across."""

    def emit(builder: Any, dtype: Any, addresses: list[Any]) -> None:
        source, step = addresses
        vectors = [
            _merge_within(builder, vector, lane_levels)
            for vector in _read(builder, dtype, source, step, levels)
        ]
        _write(builder, _merge_across(builder, vectors), source, step)

    return _instruction(emit, 2)


def adder(lanes: int) -> Any:
    """Make ``f(array, source, target)`` that adds `lanes` float32 numbers to those at target."""

    def emit(builder: Any, _dtype: Any, addresses: list[Any]) -> None:
        numbers = [_load(builder, address, lanes) for address in addresses]
        _store(builder, builder.fadd(*numbers), addresses[1])

    return _instruction(emit, 2)


def copier(lanes: int) -> Any:
    """Make ``f(array, source, target)`` that copies `lanes` float32 numbers."""

    def emit(builder: Any, _dtype: Any, addresses: list[Any]) -> None:
        _store(builder, _load(builder, addresses[0], lanes), addresses[1])

    return _instruction(emit, 2)


def parter() -> Any:
    """Make ``f(array, source, weights, even, odd)`` that lays even and odd numbers apart."""

    def emit(builder: Any, dtype: Any, addresses: list[Any]) -> None:
        source, weights, *targets = addresses
        first, second = _read(builder, dtype, source, ir.Constant(source.type, VECTOR_BYTES), 1)
        weight = _load(builder, weights)
        for parity, target in enumerate(targets):
            numbers = _shuffle(builder, first, second, range(parity, 2 * LANES, 2))
            _store(builder, builder.fmul(numbers, weight), target)

    return _instruction(emit, 4)


def weaver() -> Any:
    """Make ``f(array, source, step, target, target_step)`` that merges blocks of 2 x 2."""

    def emit(builder: Any, dtype: Any, addresses: list[Any]) -> None:
        source, step, target, target_step = addresses
        half = ir.Constant(ir.VectorType(FLOAT, LANES), [0.5] * LANES)
        subbands = [builder.fmul(half, v) for v in _read(builder, dtype, source, step, 2)]
        pixels = _merge_across(builder, subbands)
        for row, place in enumerate(_places(builder, target, target_step, 2)):
            even, odd = pixels[2 * row : 2 * row + 2]
            beyond = builder.add(place, ir.Constant(place.type, VECTOR_BYTES))
            for part, there in enumerate((place, beyond)):
                begin = part * LANES // 2
                lanes = [i + k * LANES for i in range(begin, begin + LANES // 2) for k in (0, 1)]
                _store(builder, _shuffle(builder, even, odd, lanes), there)

    return _instruction(emit, 4)


def transposer() -> Any:
    """Make ``f(array, source, steps, weights, target, target_steps)`` that turns 8 x 8 numbers."""

    def emit(builder: Any, _dtype: Any, addresses: list[Any]) -> None:
        source, weights, target = addresses[0], addresses[4], addresses[5]
        sources = _spread(builder, source, addresses[1:4])
        vectors = _turn(builder, [_load(builder, place, TURNED) for place in sources])
        weight = _load(builder, weights, TURNED)
        for place, vector in zip(_spread(builder, target, addresses[6:]), vectors, strict=True):
            _store(builder, builder.fmul(vector, weight), place)

    return _instruction(emit, 9)


def _instruction(emit: Emit, addresses: int) -> Any:
    """Make a function of an array (only its dtype matters) and some addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit(builder, signature.args[0].dtype, list(arguments[1:]))
        return context.get_dummy_value()

    def build(_typing_context: Any, array: Any, *_: Any) -> Any:
        return types.void(array, *[types.intp] * addresses), generate

    names = ["typing_context", "array", *(f"address_{i}" for i in range(addresses))]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    vars(build)["__signature__"] = signature  # numba takes no variable number of arguments
    return intrinsic(build)


def _load(builder: Any, address: Any, lanes: int = LANES, element: Any = FLOAT) -> Any:
    pointer = builder.inttoptr(address, ir.VectorType(element, lanes).as_pointer())
    return builder.load(pointer, align=4 if element is FLOAT else element.width // 8)


def _store(builder: Any, vector: Any, address: Any) -> None:
    builder.store(vector, builder.inttoptr(address, vector.type.as_pointer()), align=4)


def _read(builder: Any, dtype: Any, first: Any, step: Any, levels: int) -> list[Any]:
    """Read 2**levels vectors of pixels, a step apart, as float32."""
    vectors = []
    for place in _places(builder, first, step, 1 << levels):
        if dtype == types.float32:
            vectors.append(_load(builder, place))
        else:
            pixels = _load(builder, place, element=ir.IntType(dtype.bitwidth))
            wide = builder.zext(pixels, ir.VectorType(INDEX, LANES))
            vectors.append(builder.sitofp(wide, ir.VectorType(FLOAT, LANES)))
    return vectors


def _read_and_split(
    builder: Any, dtype: Any, first: Any, step: Any, levels: int, lane_levels: int
) -> list[Any]:
    vectors = _split_across(builder, _read(builder, dtype, first, step, levels))
    return [_split_within(builder, vector, lane_levels) for vector in vectors]


def _write(builder: Any, vectors: list[Any], first: Any, step: Any) -> None:
    places = _places(builder, first, step, len(vectors))
    for place, vector in zip(places, vectors, strict=True):
        _store(builder, vector, place)


def _places(builder: Any, first: Any, step: Any, count: int) -> list[Any]:
    """Return `count` addresses, a step apart."""
    places = [first]
    while len(places) < count:
        places.append(builder.add(places[-1], step))
    return places


def _spread(builder: Any, first: Any, steps: list[Any]) -> list[Any]:
    """Return 2**len(steps) addresses: the first plus the steps whose bits are set."""
    places = [first]
    for step in steps:
        places += [builder.add(place, step) for place in places]
    return places


def _split_across(builder: Any, vectors: list[Any]) -> list[Any]:
    """Split vectors by the bits of their places: the sum where a bit is 0, the difference at 1."""
    return _butterflies(vectors, builder.fadd, lambda low, high: builder.fsub(high, low))


def _merge_across(builder: Any, vectors: list[Any]) -> list[Any]:
    """Undo `_split_across`, up to a factor of 2 a split."""
    return _butterflies(vectors, builder.fsub, builder.fadd)


def _butterflies(vectors: list[Any], low: Any, high: Any) -> list[Any]:
    results = list(vectors)
    step = 1
    while step < len(results):
        for i in range(len(results)):
            if not i & step:
                pair = results[i], results[i | step]
                results[i], results[i | step] = low(*pair), high(*pair)
        step *= 2
    return results


def _split_within(builder: Any, vector: Any, lane_levels: int) -> Any:
    """Split the lanes of a vector by the bits of their numbers, up to signs."""
    for level in range(lane_levels):
        partners = _partners(builder, vector, level)
        vector = _add_signed(builder, partners, vector, level, signs=(1.0, -1.0))
    return vector


def _merge_within(builder: Any, vector: Any, lane_levels: int) -> Any:
    """Undo splits of lanes, up to a factor of 2 a split."""
    for level in range(lane_levels):
        partners = _partners(builder, vector, level)
        vector = _add_signed(builder, vector, partners, level, signs=(-1.0, 1.0))
    return vector


def _partners(builder: Any, vector: Any, level: int) -> Any:
    return _shuffle(builder, vector, vector, [lane ^ (1 << level) for lane in range(LANES)])


def _add_signed(builder: Any, one: Any, other: Any, level: int, signs: tuple[float, float]) -> Any:
    """Return one + sign * other, with the sign for lanes whose bit `level` is 0, and for 1."""
    lanes = [signs[lane >> level & 1] for lane in range(LANES)]
    # one instruction or two, the result is the same: a change of sign is exact
    signed = builder.fmul(other, ir.Constant(other.type, lanes), flags=("contract",))
    return builder.fadd(one, signed, flags=("contract",))


def _shuffle(builder: Any, one: Any, other: Any, lanes: Any) -> Any:
    places = list(lanes)
    return builder.shuffle_vector(
        one, other, ir.Constant(ir.VectorType(INDEX, len(places)), places)
    )


def _turn(builder: Any, vectors: list[Any]) -> list[Any]:
    """Transpose eight vectors of eight lanes, one bit of their numbers at a time."""
    for bit in (1, 2, 4):
        turned = list(vectors)
        for i in range(TURNED):
            if not i & bit:
                # the lanes of the second vector count on from those of the first
                low = [lane if not lane & bit else TURNED + (lane ^ bit) for lane in range(TURNED)]
                high = [lane | bit if not lane & bit else TURNED + lane for lane in range(TURNED)]
                one, other = vectors[i], vectors[i | bit]
                turned[i] = _shuffle(builder, one, other, low)
                turned[i | bit] = _shuffle(builder, one, other, high)
        vectors = turned
    return vectors


def _absolute(builder: Any, vector: Any) -> Any:
    type_ = ir.FunctionType(vector.type, [vector.type])
    function = cgutils.get_or_insert_function(builder.module, type_, f"llvm.fabs.v{LANES}f32")
    return builder.call(function, [vector])
