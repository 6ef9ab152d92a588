"""Synthetic chest radiographs, drawn from curves, for demos and tests.

Coordinates: `x` runs from -1 at the left edge of the image (the patient's right) to 1, `y` from
0 at the top to 2. Every organ is an amount of tissue along the beam; the amounts add up, and the
film turns their sum into a gray value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["phantom"]

Plane = NDArray[np.float64]


def phantom(rng: np.random.Generator, size: int = 512) -> NDArray[np.float32]:
    """Draw a frontal chest radiograph of a person who does not exist.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses build, posture, ribs, heart size, vessels, exposure and noise.
    size : int
        Height and width, H = W, in pixels.

    Returns
    -------
    NDArray
        float32 ``(H, W)`` in [0, 1], bone bright, air dark.

    Examples
    --------
    >>> phantom(np.random.default_rng(0), size=64).shape
    (64, 64)
    """
    axis = (np.arange(size) + 0.5) / size
    y = np.repeat(2 * axis[:, np.newaxis], size, axis=1)
    y = y + rng.normal(0, 0.04)
    build = rng.uniform(0.93, 1.05)
    x = (
        2 * axis[np.newaxis, :] - 1 + rng.normal(0, 0.015) + rng.normal(0, 0.015) * (y - 1)
    ) / build
    side = np.abs(x)
    air = _lungs(x, y, rng)
    tissue = _trunk(side, y)
    tissue += -1.02 * air + _below_diaphragm(x, y, air, rng)
    tissue += _mediastinum(x, y, rng) + _spine(x, y, rng)
    tissue += _ribs(side, y, rng) + _shoulders(side, y, rng)
    tissue += _vessels(size, rng) * _soft(air - 0.12, 0.05)
    return _exposed(tissue, _soft(_trunk(side, y) - 0.02, 0.02), rng)


def _soft(inside: Plane, width: float) -> Plane:
    """Rise from 0 to 1 where `inside` turns positive, over about `width`."""
    return 1 / (1 + np.exp(-np.clip(inside / width, -60, 60)))


def _ellipse(
    x: Plane, y: Plane, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0
) -> Plane:
    """Thickness of an ellipsoid of height 1 along the beam."""
    across, down = x - centre[0], y - centre[1]
    along = across * np.cos(tilt) + down * np.sin(tilt)
    aside = down * np.cos(tilt) - across * np.sin(tilt)
    height: Plane = np.sqrt(np.maximum(1 - (along / radii[0]) ** 2 - (aside / radii[1]) ** 2, 0))
    return height


def _trunk(side: Plane, y: Plane) -> Plane:
    """Neck, sloping shoulders and chest wall: a flat cylinder."""
    levels = [0.0, 0.12, 0.22, 0.34, 0.5, 0.7, 0.95, 1.3, 1.7, 2.1]
    widths = [0.30, 0.34, 0.62, 1.06, 1.24, 1.16, 0.99, 0.95, 0.96, 1.0]
    half_width = np.interp(y[:, 0], levels, widths)[:, np.newaxis]
    wall: Plane = 0.95 * np.maximum(1 - (side / half_width) ** 4, 0) ** 0.6
    return wall


def _lungs(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """How much of the beam runs through air: 0 outside the lungs, up to 1 inside."""
    air = np.zeros_like(x)
    breath = rng.normal(0, 0.05)
    for sign, dome in ((-1, 1.36), (1, 1.43)):
        lung = sign * x
        apex = 0.27 + rng.normal(0, 0.01)
        depth = np.clip((y - apex) / (1.55 - apex), 0, 1.2)
        lateral = 0.13 + 0.69 * np.sqrt(1 - (1 - np.minimum(depth, 1)) ** 2.4)
        medial = 0.12 + 0.05 * np.cos(depth * 5) + 0.10 * (1 - np.minimum(depth * 4, 1))
        floor = dome + breath + 0.95 * (lung - 0.40) ** 2 + 0.30 * np.maximum(lung - 0.62, 0)
        edge = np.minimum(np.minimum(lateral - lung, lung - medial), (floor - y) * 0.8)
        edge = np.minimum(edge, (y - apex) * 0.8)
        thickness = np.clip(edge / 0.34, 0, 1) ** 0.5 * (0.80 + 0.20 * np.minimum(depth, 1))
        air += thickness * _soft(edge, 0.008)
    return air


def _below_diaphragm(x: Plane, y: Plane, air: Plane, rng: np.random.Generator) -> Plane:
    """Liver and bowel, and the gas in the stomach under the patient's left dome."""
    middle = np.exp(-((x / 0.75) ** 2))
    belly: Plane = 0.42 * _soft(y - 1.38, 0.07) * middle * (1 - np.minimum(air * 2, 1))
    gas = _ellipse(x, y, (0.42 + rng.normal(0, 0.04), 1.66), (0.15, rng.uniform(0.06, 0.1)), 0.2)
    belly -= 0.3 * rng.uniform(0.5, 1) * gas
    return belly


def _mediastinum(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Heart, great vessels, hila, and the trachea, which is dark."""
    large = rng.uniform(0.9, 1.15)
    tilt = 0.55 + rng.normal(0, 0.06)
    heart = _ellipse(x, y, (0.15, 1.17), (0.40 * large, 0.29 * large), tilt)
    atrium = _ellipse(x, y, (-0.07, 1.15), (0.15 * large, 0.25))
    knob = _ellipse(x, y, (0.105, 0.70 + rng.normal(0, 0.02)), (0.10, 0.095))
    band = _soft(0.145 - np.abs(x - 0.01), 0.02) * _soft(y - 0.25, 0.15) * _soft(1.5 - y, 0.1)
    hila = sum(
        _ellipse(x, y, (sign * 0.235, 0.93 - 0.03 * sign), (0.085, 0.15), -0.35 * sign)
        for sign in (-1, 1)
    )
    reach = 0.76 - y
    trachea = _soft(0.042 - np.abs(x + 0.012), 0.008) * _soft(reach, 0.07)
    for sign in (-1, 1):
        line = np.abs(x + 0.012 - sign * (y - 0.79) * 0.95)
        length = _soft(y - 0.78, 0.015) * _soft(0.95 - y, 0.03)
        trachea = trachea + 0.6 * _soft(0.038 - line, 0.012) * length * (sign * x > -0.02)
    solid = np.maximum(0.52 * heart, 0.40 * atrium) + 0.20 * knob**1.5 + 0.22 * band
    return solid + 0.20 * hila**2 - 0.20 * trachea


def _spine(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Vertebrae with their discs, and the pedicles as pairs of rings."""
    curve = x - 0.012 * np.sin(2.2 * y + rng.uniform(0, 6))
    pitch = 0.135 + 0.012 * y
    phase = np.mod(y / pitch + rng.uniform(), 1) - 0.5
    body = _soft(0.088 + 0.02 * phase**2 - np.abs(curve), 0.008)
    discs = _soft(0.43 - np.abs(phase), 0.03)
    pedicles = np.exp(-(((np.abs(curve) - 0.058) / 0.014) ** 2) - (phase / 0.16) ** 2)
    process = np.exp(-((curve / 0.014) ** 2) - ((phase - 0.25) / 0.2) ** 2)
    return body * (0.10 + 0.12 * discs + 0.09 * pedicles + 0.09 * process)


def _ribs(side: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Ten pairs: behind, they fall gently outwards; in front, steeply inwards, and fainter."""
    bone = np.zeros_like(side)
    slope = rng.uniform(0.9, 1.1)
    for number in range(10):
        start = 0.30 + 0.128 * number + rng.normal(0, 0.008)
        reach = min(0.50 + 0.13 * number, 0.84) + 0.01 * max(number - 4, 0)
        part = side / reach
        behind = start - 0.085 * np.sin(np.pi * np.clip(part, 0, 1)) + slope * 0.20 * part**2.2
        strength = _soft(side - 0.09, 0.015) * _soft(reach - side, 0.006)
        bone += 0.165 * strength * _tube(y - behind, 0.029 + 0.0012 * number)
        if 1 <= number <= 6:
            turn = start + slope * 0.20
            before = turn + 0.40 * slope * (1 - np.clip(part, 0, 1)) ** 0.75
            strength = _soft(side - 0.30 - 0.02 * number, 0.04) * _soft(reach - side, 0.006)
            bone += 0.085 * strength * _tube((y - before) * 0.85, 0.030)
    return bone


def _tube(distance: Plane, radius: float | Plane) -> Plane:
    """Cut through a bone across the beam: its shell is denser than its core."""
    part = np.abs(distance) / radius
    shell = np.exp(-(((part - 0.85) / 0.22) ** 2))
    return 0.72 * _soft(1 - part, 0.07) + 0.38 * shell


def _shoulders(side: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Collar bones, shoulder blades and the heads of the upper arms."""
    part = np.clip((side - 0.07) / 0.72, -0.2, 1.2)
    lift = rng.uniform(0.12, 0.2)
    middle = 0.44 - lift * part + 0.035 * np.sin(2 * np.pi * part)
    ends = _soft(part, 0.01) * _soft(1 - part, 0.02)
    collar = 0.24 * ends * _tube(y - middle, 0.030 + 0.012 * (1 - part))
    blade_edge = 0.80 + 0.10 * (y - 0.75)
    blade = _soft(side - blade_edge, 0.012) * _soft(y - 0.36, 0.03)
    blade = 0.11 * blade * _soft(1.02 - y - 0.7 * (side - 0.8), 0.03)
    socket = 0.26 * _ellipse(side, y, (1.04, 0.40), (0.17, 0.15))
    return collar + blade + socket


def _vessels(size: int, rng: np.random.Generator) -> Plane:
    """Vessels that leave the hila, fork and thin out: random walks, splatted and smoothed."""
    smoothed = np.zeros((size, size))
    for width, branches, amount in ((0.0085, 26, 0.55), (0.005, 90, 0.30)):
        points = np.zeros((size, size))
        for sign in (-1, 1):
            heading = rng.uniform(-1.5, 1.5, branches)
            place = np.stack([sign * np.full(branches, 0.25), np.full(branches, 0.95)])
            place = place + rng.normal(0, 0.05, place.shape)
            for step in range(220):
                heading += rng.normal(0, 0.09, branches)
                ahead = np.stack([sign * np.cos(heading), np.sin(heading)])
                place = place + ahead * 0.0035
                column, row = ((place + np.array([[1], [0]])) / 2 * size).astype(int)
                kept = (column >= 0) & (column < size) & (row >= 0) & (row < size)
                weight = np.exp(-step / 90) * size / 512
                np.add.at(points, (row[kept], column[kept]), weight)
        smoothed += amount * _blurred(points, width * size / 2) * (size * width / 2) ** 2
    return 0.20 * np.tanh(smoothed * 1.6)


def _blurred(plane: Plane, sigma: float) -> Plane:
    """Convolve with a Gaussian of `sigma` pixels (wraps around)."""
    rows = np.fft.fftfreq(plane.shape[0])[:, np.newaxis]
    columns = np.fft.rfftfreq(plane.shape[1])[np.newaxis, :]
    smooth = np.exp(-2 * (np.pi * sigma) ** 2 * (rows**2 + columns**2))
    return np.fft.irfft2(np.fft.rfft2(plane) * smooth, s=plane.shape)


def _exposed(tissue: Plane, body: Plane, rng: np.random.Generator) -> NDArray[np.float32]:
    """Expose the film: scatter veils it, few rays make it noisy, its response is S-shaped."""
    size = len(tissue)
    veiled = 0.88 * tissue + 0.12 * _blurred(tissue, 0.04 * size)
    texture = _blurred(rng.normal(0, 1, tissue.shape), 0.006 * size) * 0.006 * size * 2
    veiled = _blurred(veiled, size / 640) + 0.014 * texture * body
    gray = 1 / (1 + np.exp(-2.7 * (veiled - rng.uniform(0.60, 0.68))))
    low, high = gray[body < 0.01].min(initial=gray.min()), np.quantile(gray, 0.999)
    gray = np.clip((gray - low) / (high - low), 0, None)
    noise = rng.normal(0, 0.010, tissue.shape) * (0.4 + gray)
    shown = 0.04 + 0.90 * gray / (1 + 0.06 * gray**4) + _blurred(noise, 0.5)
    film: NDArray[np.float32] = np.clip(shown * (0.15 + 0.85 * body), 0, 1).astype(np.float32)
    return film
