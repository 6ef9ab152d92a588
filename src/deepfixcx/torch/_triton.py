"""Haar codes with l1 pooling on a GPU, in one pass: read every pixel once, write the code.

All blocks of a cell are treated alike: transformed, and their absolute values added up. So a
program works on a cell, or on several neighbours where cells are small, and holds `LANES` of their
blocks at a time in the registers of one warp, as a tensor (rows, lanes, columns). A split is a
butterfly between elements whose indices differ in one bit. The partner of an element is the sum of
the pair, as integers, less itself: inside a thread that costs nothing, between the threads of a
warp a shuffle. So the tensor keeps one layout from the load to the sum, without shared memory, and
that layout is the load's: neighbouring lanes read neighbouring blocks, which lie side by side in
memory, and a thread holds whole columns of blocks. At level 3 and uint8 it holds whole blocks.

- Blocks of deep levels do not fit into registers. Their last splits of rows are then done while
  loading, each program keeping one of 2**`FOLD` results. The image is read as often, but at the
  same time, so mostly from a cache. From level 7 on, four warps share a block.
- Cells of many blocks, in small batches, are shared among programs that each write a part of the
  mean; a second step adds the parts.
- No two programs write the same number, so results do not change from run to run.

The tests run the kernel in Triton's interpreter and compile it, which needs no GPU. None was at
hand, so its speed is unmeasured and the constants below come from reading the compiled code.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from deepfixcx.spec import CodecSpec
from deepfixcx.torch.functional import SCALES

__all__ = ["encode_haar_l1"]

WARP_VALUES = 2048
"""Values a warp holds: 64 registers a thread, and as many for the sums."""

LANES = {1: 256, 2: 128, 3: 32, 4: 8, 5: 2}
"""Blocks a program holds, by level; deeper, one or a part of one."""

FOLDS = {6: 1, 7: 1, 8: 3}
"""Splits of rows that are done while loading, by level; before, none."""

ENOUGH_PROGRAMS = 2048
"""With fewer programs than this, large cells are shared among several."""


@triton.jit
def _split_once(x, inner: tl.constexpr):
    """Replace elements whose indices differ by `inner` by their sum and difference."""
    pairs = tl.reshape(x, [x.numel // (2 * inner), 2, inner])
    bits = pairs.to(tl.int32, bitcast=True)
    partners = (tl.sum(bits, axis=1, keep_dims=True) - bits).to(tl.float32, bitcast=True)
    signs = 1.0 - 2.0 * tl.arange(0, 2).to(tl.float32)
    return pairs + signs[None, :, None] * partners


@triton.jit
def _encode(
    images,
    parts,
    rows,
    columns,
    height,
    width,
    cell_rows,
    cell_columns,
    groups,
    shares,
    count,
    scale,
    LEVEL: tl.constexpr,
    FOLD: tl.constexpr,
    CELLS: tl.constexpr,
    MEMBERS: tl.constexpr,
):
    """Fill `parts` (shares, N, 4**J, P, P), whose sum is the code, from `images` (N, H, W)."""
    SIDE: tl.constexpr = 1 << LEVEL
    HELD: tl.constexpr = 1 << (LEVEL - FOLD)
    LANES_: tl.constexpr = CELLS * MEMBERS
    place = tl.program_id(0) >> FOLD
    frequency = tl.program_id(0) & ((1 << FOLD) - 1)
    group = place % groups
    row_of_cells = (place // groups) % cell_rows
    image = (place // groups) // cell_rows
    share = tl.program_id(1)

    lane = tl.arange(0, LANES_)
    cell = group * CELLS + lane // MEMBERS
    there = cell < cell_columns
    left = tl.load(columns + cell, mask=there, other=0)
    wide = tl.load(columns + cell_columns + cell, mask=there, other=0) - left
    top = tl.load(rows + row_of_cells)
    tall = tl.load(rows + cell_rows + row_of_cells) - top
    across = tl.maximum(wide, 1)

    p = tl.arange(0, HELD)[:, None, None]
    s = tl.arange(0, SIDE)[None, None, :]
    source = images + image.to(tl.int64) * height * width
    total = tl.zeros([HELD, LANES_, SIDE], tl.float32)
    most = tall * tl.max(wide, axis=0)
    for first in range(share * MEMBERS, most, shares * MEMBERS):
        member = first + lane % MEMBERS
        block_row = top + member // across
        column = ((left + member % across) * SIDE)[None, :, None] + s
        inside = (member < tall * wide)[None, :, None] & (column < width)
        x = tl.zeros([HELD, LANES_, SIDE], tl.float32)
        for q in tl.static_range(1 << FOLD):
            row = (block_row * SIDE)[None, :, None] + (q * HELD + p)
            pixel = tl.load(source + row * width + column, mask=inside & (row < height), other=0)
            odd = frequency & q
            odd = odd ^ (odd >> 2)
            odd = (odd ^ (odd >> 1)) & 1
            x += pixel.to(tl.float32) * (1 - 2 * odd).to(tl.float32)
        for split in tl.static_range(LEVEL):
            x = _split_once(x, 1 << split)
        for split in tl.static_range(LEVEL - FOLD):
            x = _split_once(x, LANES_ * SIDE << split)
        total += tl.abs(tl.reshape(x, [HELD, LANES_, SIDE]))

    of_cells = tl.sum(tl.reshape(total, [HELD, CELLS, MEMBERS, SIDE]), axis=2)
    # a band's number: base-4 digits, the first split first, which is the lowest bit of an index
    band = tl.zeros([HELD, 1, SIDE], tl.int32)
    for split in tl.static_range(LEVEL):
        digit = 2 * (((frequency * HELD + p) >> split) & 1) + ((s >> split) & 1)
        band += digit << (2 * (LEVEL - 1 - split))
    target = group * CELLS + tl.arange(0, CELLS)[None, :, None]
    length = tl.load(columns + 2 * cell_columns + target, mask=target < cell_columns, other=1)
    area = tl.load(rows + 2 * cell_rows + row_of_cells) * length
    bands = (share * count + image).to(tl.int64) * (SIDE * SIDE)
    number = ((bands + band) * cell_rows + row_of_cells) * cell_columns + target
    means = of_cells * (scale / area.to(tl.float32))
    tl.store(parts + number, means, mask=target < cell_columns)


class _Plan(NamedTuple):
    """How the work is laid out."""

    cells: int
    members: int
    fold: int
    warps: int
    groups: int
    shares: int


def encode_haar_l1(pixels: Tensor, spec: CodecSpec) -> Tensor:
    """Encode pixels (B, C, H, W) of uint8, uint16 or floats into (B, C, 4**J, P, P) of float32."""
    height, width = pixels.shape[-2:]
    images = pixels.contiguous().view(-1, height, width)
    rows, columns = _tables(spec, height, width, pixels.device)
    plan = _plan(spec, height, width, len(images))
    shape = (plan.shares, len(images), spec.bands, *spec.grid_shape)
    parts = torch.empty(shape, dtype=torch.float32, device=pixels.device)
    grid = (len(images) * spec.grid_shape[0] * plan.groups << plan.fold, plan.shares)
    if len(images):
        _encode[grid](
            images,
            parts,
            rows,
            columns,
            height,
            width,
            *spec.grid_shape,
            plan.groups,
            plan.shares,
            len(images),
            SCALES.get(pixels.dtype, 1.0) / spec.block,
            LEVEL=spec.level,
            FOLD=plan.fold,
            CELLS=plan.cells,
            MEMBERS=plan.members,
            num_warps=plan.warps,
            enable_fp_fusion=True,
        )
    code = parts[0] if plan.shares == 1 else parts.sum(0)
    return code.view(*pixels.shape[:2], *code.shape[1:])


@lru_cache(maxsize=256)
def _tables(
    spec: CodecSpec, height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return starts, stops and lengths of the rows and of the columns of cells, on the device."""
    rows, columns = (
        torch.from_numpy(np.stack(cells.arrays).astype(np.int32)).to(device)
        for cells in spec.cells(height, width)
    )
    return rows, columns


@lru_cache(maxsize=256)
def _plan(spec: CodecSpec, height: int, width: int, count: int) -> _Plan:
    cell_rows, cell_columns = spec.grid_shape
    rows, columns = (int((cells.stops - cells.starts).max()) for cells in spec.cells(height, width))
    fold = FOLDS.get(spec.level, 0)
    lanes = LANES.get(spec.level, 1)
    members = min(lanes, _power_of_two(rows * columns))
    cells = min(lanes // members, _power_of_two(cell_columns))
    warps = max(1, (spec.bands >> fold) * cells * members // WARP_VALUES)
    groups = -(-cell_columns // cells)
    programs = max(1, count * cell_rows * groups << fold)
    shares = min(-(-ENOUGH_PROGRAMS // programs), -(-(rows * columns) // members))
    return _Plan(cells, members, fold, warps, groups, max(1, shares))


def _power_of_two(number: int) -> int:
    """Return the least power of two that is not smaller."""
    return 1 << max(0, number - 1).bit_length()
