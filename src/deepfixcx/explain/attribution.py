"""Attribution: how much each number of a code contributed to a model's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import decode_values
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.groups import (
    BandGroup,
    Reason,
    band_groups,
    direction_members,
    group_members,
    octaves_that_differ,
)
from deepfixcx.explain.naming import BandName, band_names, place_words, spread_over_pixels

__all__ = ["Attribution", "Reason", "Resolves"]

Array = NDArray[np.float32]

Resolves = Literal["place and band", "place", "band"]
"""What an attribution can be asked about."""

SMALL_CHANGE = 1e-3
"""Completeness errors are shares of the change of the output; smaller changes count as this."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each number of some codes contributed to one output of a model.

    Made by `integrated_gradients`, `deep_lift`, `gradient_shap` and `occlusion`. Positive numbers
    push towards the label, negative ones away from it, both compared with the baseline.

    Parameters
    ----------
    values : ndarray of float32, shape (B, C, 4**J, P, P), or (B, C, 4**J, P, P, F)
        Attribution of each number, in the unit of the output; of volumes in the shape of their
        code, and P_z, P, P stands for P, P below.
    code : Code
        What was explained, B images or volumes.
    baseline : ndarray of float32, shape (B, ...) or (1, ...)
        The codes that it is compared with.
    outputs, baseline_outputs : ndarray of float32, shape (B,)
        The model's output for the codes and for the baselines.
    method : str
        How it was made.
    target : int
        Which output of the model.
    label : str
        What the output stands for.
    unit : str
        Of outputs and values: ``"log odds"``, or ``"output"`` where the model is unknown.
    resolves : {"place and band", "place", "band"}
        What can be asked: occlusion by cell knows nothing of bands, and the other way round.
    chance : ndarray of float32, shape (B, G, P, P), (B, 1, P, P) or (B, G, 1, 1), optional
        Amount that a reason has to exceed: in 95 % of images a model of random labels whose scores
        spread as much has no such reason. G are the groups of `band_groups`.
    others : ndarray of float32, shape (K, B, G, P, P), optional
        Amounts when compared with K other baselines, of the last shape of `chance`.
    stable : ndarray of float64, shape (B,), optional
        How many of the five strongest reasons stay with another baseline, on average.

    Raises
    ------
    ExplanationError
        The shapes do not fit together.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495, section on explanations.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain.methods import occlusion
    >>> code = Codec(level=1, patches=2).encode(np.eye(8, dtype=np.float32))
    >>> def corner(codes):  # a model that looks at one number
    ...     return 2 * codes[:, 0, 0, :1, 0]
    >>> why = occlusion(corner, code, np.zeros_like(code.array), by="number")
    >>> why.spatial()[0].tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    >>> print(why.top(1)[0])
    upper left, cell row 1, column 1: local brightness pushes towards output 0
    """

    values: Array
    code: Code
    baseline: Array
    outputs: Array
    baseline_outputs: Array
    method: str
    target: int
    label: str
    unit: str
    resolves: Resolves = "place and band"
    chance: Array | None = None
    others: Array | None = None
    stable: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Check that all parts are of the same codes."""
        shape = self.code.array.shape
        fits = self.values.shape == shape and self.baseline.shape[1:] == shape[1:]
        fits = fits and len(self.baseline) in (1, len(self.code))
        if not fits or not (self.outputs.shape == self.baseline_outputs.shape == shape[:1]):
            raise ExplanationError(
                f"the attribution of codes {shape} has that shape, a baseline of one or as many "
                f"codes and as many outputs; got values {self.values.shape}, baseline "
                f"{self.baseline.shape}, outputs {self.outputs.shape}, "
                f"{self.baseline_outputs.shape}"
            )
        if not np.isfinite(self.values).all():
            raise ExplanationError(
                "some attributions are not finite numbers; the model has no gradient there, so "
                "explain it by occlusion"
            )

    def __len__(self) -> int:
        """Return the number of images, B."""
        return len(self.values)

    def __getitem__(self, images: int | slice | Sequence[int] | NDArray[Any]) -> Attribution:
        """Return some of the images, always as a batch."""
        index: Any = [int(images)] if isinstance(images, int | np.integer) else images
        code = self.code[images]
        return replace(
            self,
            values=self.values[index],
            code=code,
            baseline=self.baseline if len(self.baseline) == 1 else self.baseline[index],
            outputs=self.outputs[index],
            baseline_outputs=self.baseline_outputs[index],
            chance=None if self.chance is None else self.chance[index],
            others=None if self.others is None else self.others[:, index],
            stable=None if self.stable is None else self.stable[index],
        )

    @property
    def level(self) -> int:
        """J of the codes."""
        return self.code.spec.level

    @property
    def groups(self) -> tuple[BandGroup, ...]:
        """The groups of bands of `edge_groups`, `amounts` and reasons."""
        return band_groups(*self._packet)

    @property
    def band_names(self) -> tuple[BandName, ...]:
        """What each band of `edges` answers to; of images."""
        self.code.spec.refuse_volumes("naming single bands")
        return band_names(self.level)

    @property
    def completeness_error(self) -> NDArray[np.float64]:
        """How far the values are from summing to what they should explain, (B,).

        The values of an image should sum to the change of the output from the baseline to its
        code. The error is the difference as a share of that change; changes smaller than 0.001
        count as 0.001. Occlusion is not complete by construction.
        """
        change = self.outputs.astype(np.float64) - self.baseline_outputs
        sums = self.values.reshape(len(self), -1).sum(axis=1, dtype=np.float64)
        error: NDArray[np.float64] = np.abs(sums - change) / np.maximum(
            np.abs(change), SMALL_CHANGE
        )
        return error

    def spatial(self, *, absolute: bool = False) -> Array:
        """Return where: the attribution of each cell, (B, P, P).

        Parameters
        ----------
        absolute : bool
            Sum the sizes of the values rather than the values, so that what pushes towards the
            label and what pushes away from it do not cancel.

        Raises
        ------
        ExplanationError
            The attribution has no positions.
        """
        if self.resolves == "band":
            raise ExplanationError(
                f"{self.method} gives no values for places; choose another method"
            )
        cells: Array = self._numbers(absolute).sum(axis=(1, 2))
        return cells

    def spatial_image(self, image: int = 0, *, absolute: bool = False) -> Array:
        """Return where, as large as the reconstruction: each pixel has the number of its cell.

        Parameters
        ----------
        image : int
            Which image.
        absolute : bool
            As in `spatial`.

        Returns
        -------
        ndarray of float32, shape (H, W)

        Raises
        ------
        ExplanationError
            The attribution has no positions.
        """
        one = self[image]
        cells = one.spatial(absolute=absolute)[0]
        return spread_over_pixels(cells, self.code.spec, *map(int, one.code.sizes[0]))

    def edges(self, *, absolute: bool = False) -> Array:
        """Return which scale and orientation: the attribution of each band, (B, 4**J).

        Bands are in the order of a code, and `band_names` says what each answers to.

        Parameters
        ----------
        absolute : bool
            As in `spatial`.

        Raises
        ------
        ExplanationError
            The attribution has no bands.
        """
        if self.resolves == "place":
            raise ExplanationError(
                f"{self.method} gives no values for bands; choose another method"
            )
        bands: Array = self._numbers(absolute).sum(axis=(1, *self._cell_axes))
        return bands

    def amounts(self) -> Array:
        """Return the attribution of groups and cells, (B, G, P, P); 1 for an axis that it lacks."""
        if self.resolves == "place":
            return self.spatial()[:, np.newaxis]
        if self.resolves == "band":
            groups = self.edge_groups()
            return groups.reshape(*groups.shape, *[1] * self.code.spec.ndim)
        values = self._numbers(absolute=False).sum(axis=1)
        amounts: Array = np.einsum("gb,nb...->ng...", group_members(*self._packet), values)
        return amounts

    def edge_map(self, *, absolute: bool = False) -> Array:
        """Return `edges` laid out by frequency, (B, 2**J, 2**J), the approximation top left."""
        edges = self.edges(absolute=absolute)
        laid = np.empty((len(self), self.code.spec.block, self.code.spec.block), np.float32)
        for name in self.band_names:
            laid[:, name.row, name.column] = edges[:, name.number]
        return laid

    def edge_groups(self, *, absolute: bool = False) -> Array:
        """Return `edges` by octave and orientation, (B, G), in the order of `band_groups`."""
        groups: Array = self.edges(absolute=absolute) @ group_members(*self._packet).T
        return groups

    def image(self, image: int = 0) -> Array:
        """Return the attribution through the inverse transform, as an image.

        Values are repeated over their cells and the wavelet packet is inverted, as for a
        reconstruction. It is linear, so positive and negative parts show as bright and dark
        structure of the scale and orientation concerned.

        Parameters
        ----------
        image : int
            Which image.

        Returns
        -------
        ndarray of float32, shape (C, H, W)
        """
        size = map(int, self.code[image].sizes[0])
        values = self._numbers(absolute=False)[image][np.newaxis]
        pixels: Array = decode_values(values, self.code.spec, *size)[0]
        return pixels

    def top(self, n: int = 5, image: int = 0) -> list[Reason]:
        """Return the strongest reasons of one image, in words, strongest first.

        A reason is a cell and a direction, or the brightness. The strongest direction of each cell
        comes first, cells in the order of their sums; then the second. Directions are compared by
        the amount divided by the root of the number of bands, so that none is first for having
        many. The octave is named by the code alone, since a model may use a pattern in finer bands:
        that whose energy exceeds the baseline's most; see `octaves_that_differ`.

        Parameters
        ----------
        n : int
            How many at most; reasons of no weight are left out.
        image : int
            Which image.
        """
        return self._strongest(n, image)

    def reasons(self, n: int = 3, image: int = 0) -> list[Reason]:
        """Return the strongest of those reasons of one image that are larger than chance.

        None at all means that the reasons are diffuse: no place and band stands out.
        """
        return self._strongest(n, image, beyond_chance=True)

    # -- helpers ------------------------------------------------------------------------------

    def _strongest(self, n: int, image: int, *, beyond_chance: bool = False) -> list[Reason]:
        one, members = self[image], self._directions()
        of_groups = one.amounts()[0]
        amounts = np.tensordot(members, of_groups, 1)
        chance = None
        if one.chance is not None:  # variances add
            chance = np.sqrt(np.tensordot(members, one.chance[0] ** 2, 1))
        sizes = np.abs(amounts)
        counted = sizes > (chance if beyond_chance and chance is not None else 0)
        strength = sizes
        if one.resolves != "place":
            bands = members @ group_members(*self._packet).sum(axis=1)
            strength = sizes / np.sqrt(bands).reshape(-1, *[1] * (sizes.ndim - 1))
        rank = (-strength).argsort(axis=0, kind="stable").argsort(axis=0)
        cells = np.broadcast_to(np.abs(of_groups.sum(axis=0)), sizes.shape)
        total, named = float(sizes.sum(dtype=np.float64)), one._octaves()
        reasons: list[Reason] = []
        order = np.lexsort((-cells.ravel(), rank.ravel()))
        for place in zip(*np.unravel_index(order, sizes.shape), strict=True):
            if counted[place] and len(reasons) < n:
                direction, *cell = map(int, place)
                amount = float(amounts[place])
                least = None if chance is None else float(chance[place])
                group = int(named[place])
                reason = self._reason(group, tuple(cell), amount, abs(amount) / total, least)
                if one.others is not None:
                    where: Any = (slice(None), 0, slice(None), *cell)
                    there = one.others[where]
                    others = np.tensordot(there, members[direction], 1)
                    all_of = [amount, *map(float, others)]
                    reason = replace(reason, range=(min(all_of), max(all_of)))
                reasons.append(reason)
        return reasons

    def _octaves(self) -> NDArray[np.int64]:
        """Return the group that is named for each direction and cell of the first image."""
        if self.resolves == "place":
            return np.zeros((1, *self.code.spec.grid_shape), np.int64)
        shape = self.code.spec.code_shape(self.code.channels)[: 2 + self.code.spec.ndim]
        now, before = (
            (each[0].reshape(*shape, -1) ** 2).sum(axis=(0, -1), dtype=np.float64)
            for each in (self.code.array, self.baseline)
        )
        return octaves_that_differ(now, before, *self._packet, everywhere=self.resolves == "band")

    @property
    def _packet(self) -> tuple[int, int | None]:
        return self.code.spec.level, self.code.spec.level_z

    @property
    def _cell_axes(self) -> tuple[int, ...]:
        return tuple(range(3, 3 + self.code.spec.ndim))

    def _directions(self) -> Array:
        whole = np.ones((1, 1), np.float32)
        return whole if self.resolves == "place" else direction_members(*self._packet)

    def _numbers(self, absolute: bool) -> Array:
        """Return one value for each channel, band and cell: poolings are taken together."""
        values = np.abs(self.values) if absolute else self.values
        taken: Array = values.sum(axis=-1) if values.ndim > 3 + self.code.spec.ndim else values
        return taken

    def _reason(
        self, group: int, cell: tuple[int, ...], amount: float, share: float, chance: float | None
    ) -> Reason:
        where = place_words(cell, self.code.spec.grid_shape)
        side = f"towards {self.label}" if amount > 0 else f"away from {self.label}"
        if self.resolves == "place":
            return Reason(cell, None, amount, share, chance, f"{where}: pushes {side}")
        bands = self.groups[group]
        words = f"{bands.mostly(self.level)} {side}"
        if self.resolves == "band":
            return Reason(None, bands, amount, share, chance, words)
        return Reason(cell, bands, amount, share, chance, f"{where}: {words}")
