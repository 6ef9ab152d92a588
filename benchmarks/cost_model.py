"""A formula for what images cost: fitted, checked on settings that were held out, and applied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.command import arguments, finish, new_parser
from benchmarks.from_disk import fitting_count
from benchmarks.table import Table, number
from deepfixcx import CodecSpec
from deepfixcx.bench.disk import privatize_times
from deepfixcx.bench.machine import FILE_KINDS, describe_machine, write_samples
from deepfixcx.bench.suite import measure_encode
from deepfixcx.release import ReleaseOptions, privatize_dataset

__all__ = ["Linear", "Setting", "cost_table", "fit", "main", "relative_errors", "terms"]

SIDES, LEVELS, PATCHES = (160, 320, 640, 1280), (1, 2, 3, 4, 5, 6), (1, 4, 16, 64)
HELD_OUT = 4
"""One setting in so many is not fitted but predicted."""

DISK_FITTED, DISK_HELD_OUT = (160, 320, 1024), (640,)
DISK_SPEC = CodecSpec(level=3, patches=5)
AMOUNTS = (1_000_000, 100_000_000, 10_000_000_000)
EXAMPLES = (("PNG", 320), ("JPEG", 1024), ("DICOM", 2048), ("DICOM JPEG 2000", 2048))
TERMS = ("an image", "a pixel", "a pixel and level", "a number of the code")


@dataclass(frozen=True, slots=True)
class Setting:
    """Images of H·W pixels, encoded at level J with P cells per axis."""

    pixels: int
    level: int
    patches: int


@dataclass(frozen=True, slots=True)
class Linear:
    """Core-seconds as a sum of coefficients times terms."""

    coefficients: tuple[float, ...]

    def seconds(self, values: Sequence[float]) -> float:
        """Return core-seconds of one image with these terms."""
        return sum(c * value for c, value in zip(self.coefficients, values, strict=True))


def terms(setting: Setting) -> tuple[float, ...]:
    """Return what the cost of encoding is a sum of: 1, H·W, H·W·J and 4^J·P².

    Examples
    --------
    >>> terms(Setting(100, 2, 3))
    (1.0, 100.0, 200.0, 144.0)
    """
    pixels = float(setting.pixels)
    return 1.0, pixels, pixels * setting.level, float(4**setting.level * setting.patches**2)


def fit(rows: Sequence[Sequence[float]], seconds: Sequence[float]) -> Linear:
    """Fit non-negative coefficients so that relative errors are small.

    Terms whose coefficient would be negative are left out, the worst first.
    """
    wanted = np.asarray(seconds)
    matrix = np.asarray(rows) / wanted[:, None]
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1
    kept = list(range(matrix.shape[1]))
    found = np.zeros(matrix.shape[1])
    while kept:
        found[:] = 0
        found[kept] = np.linalg.lstsq(
            matrix[:, kept] / scale[kept], np.ones(len(wanted)), rcond=None
        )[0]
        worst = min(kept, key=lambda place: found[place])
        if found[worst] >= 0:
            break
        kept.remove(worst)
    return Linear(tuple((found / scale).tolist()))


def relative_errors(
    model: Linear, rows: Sequence[Sequence[float]], seconds: Sequence[float]
) -> list[float]:
    """Return |predicted / measured - 1| for each row."""
    return [
        abs(model.seconds(row) / measured - 1) for row, measured in zip(rows, seconds, strict=True)
    ]


def measure_settings(threads: int, rounds: int, *, tiny: bool) -> dict[Setting, float]:
    """Measure core-seconds of encoding one uint8 image in memory, in every setting that fits."""
    sides, levels, patches = ((16, 32), (1, 2), (1, 2)) if tiny else (SIDES, LEVELS, PATCHES)
    measured = {}
    for side in sides:
        for level in levels:
            for cells in patches:
                if cells <= -(-side // 2**level):
                    speed = measure_encode(
                        CodecSpec(level, cells), side, side, "uint8", rounds=rounds, seconds=0.03
                    )
                    measured[Setting(side * side, level, cells)] = threads / speed.images_per_second
    return measured


def measure_files(
    kind: str, sides: Sequence[int], workers: int, rounds: int, *, tiny: bool
) -> dict[int, float]:
    """Measure core-seconds of one file of a release from disk, start-up excluded, by its side."""
    spec = CodecSpec(2, 2) if tiny else DISK_SPEC
    measured = {}
    for side in sides:
        count = fitting_count(kind, side, workers, 0.0 if tiny else 1.0)
        with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
            folder = Path(place) / "images"
            write_samples(folder, kind, side, count)
            options = ReleaseOptions(spec, output="codes")
            times = [privatize_times(folder, options, workers) for _ in range(rounds)]
        measured[side] = workers / float(np.median([run.without_start for run in times]))
    return measured


def bookkeeping_bytes(workers: int, *, tiny: bool) -> float:
    """Measure what each image adds on disk beside its code: manifest, ledger, heads of files."""
    with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
        paths = write_samples(Path(place) / "images", "PNG", 32, 40 if tiny else 4000)
        spec = CodecSpec(1, 1)
        options = ReleaseOptions(spec, output="codes")
        privatize_dataset(Path(place) / "images", Path(place) / "out", options, workers=workers)
        written = sum(
            path.stat().st_size
            for name in ("out", "out.private")
            for path in (Path(place) / name).rglob("*")
            if path.is_file()
        )
    return written / len(paths) - 4 * spec.numbers(1)


def cost_table(models: Mapping[str, Linear], bytes_an_image: float) -> Table:
    """Say what a million images and more cost from disk, in core-hours and bytes kept."""
    columns = []
    for amount in AMOUNTS:
        columns += [f"{_words(amount)} images, core-hours", "on disk"]
    table = Table(["files", *columns])
    for kind, side in EXAMPLES:
        if kind not in models:
            continue
        seconds = models[kind].seconds((1.0, float(side * side)))
        cells = []
        for amount in AMOUNTS:
            cells += [number(amount * seconds / 3600), _size(amount * bytes_an_image)]
        table.add(f"{kind}, {side}×{side}", *cells)
    return table


def _words(amount: int) -> str:
    return f"{amount // 10**9} G" if amount >= 10**9 else f"{amount // 10**6} M"


def _size(count: float) -> str:
    power = min(int(math.log10(count) // 3), 5)
    return f"{number(count / 1000**power)} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"


def held_out(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings that are predicted rather than fitted."""
    return list(settings)[HELD_OUT - 1 :: HELD_OUT]


def _encode_part(measured: Mapping[Setting, float]) -> tuple[Table, str, Linear]:
    settings = list(measured)
    held = held_out(settings)
    fitted = [setting for setting in settings if setting not in held]
    model = fit([terms(s) for s in fitted], [measured[s] for s in fitted])
    errors = {
        "fitted": relative_errors(model, [terms(s) for s in fitted], [measured[s] for s in fitted]),
        "held out": relative_errors(model, [terms(s) for s in held], [measured[s] for s in held]),
    }
    table = Table(["encode", "settings", "median error", "90th percentile", "largest"])
    for name, values in errors.items():
        table.add(
            name, str(len(values)), f"{np.median(values):.0%}",
            f"{np.quantile(values, 0.9):.0%}", f"{max(values):.0%}",
        )  # fmt: skip
    parts = " + ".join(
        f"{number(1e9 * c)}·{what}"
        for c, what in zip(model.coefficients, ("1", "HW", "J·HW", "4^J·P²"), strict=True)
        if c
    )
    return table, f"Encoding one uint8 image in memory: **{parts}** core-nanoseconds.", model


def main(words: Sequence[str] | None = None) -> None:
    """Measure, fit, check and apply."""
    parser = new_parser(__doc__)
    parser.add_argument("--kinds", nargs="*", choices=FILE_KINDS, default=list(FILE_KINDS))
    options = arguments(parser, words)
    machine = describe_machine()
    measured = measure_settings(options.threads, options.rounds, tiny=options.tiny)
    encode, formula, encode_model = _encode_part(measured)
    fitted, held = ((32, 48), (40,)) if options.tiny else (DISK_FITTED, DISK_HELD_OUT)
    disk = Table(
        ["files", "core-µs a file", "core-ns a pixel", "held out", "measured, µs", "predicted, µs",
         "error"]
    )  # fmt: skip
    models: dict[str, Linear] = {}
    for kind in options.kinds:
        times = measure_files(
            kind, (*fitted, *held), options.threads, options.rounds, tiny=options.tiny
        )
        models[kind] = fit(
            [(1.0, float(side * side)) for side in fitted], [times[side] for side in fitted]
        )
        for side in held:
            predicted = models[kind].seconds((1.0, float(side * side)))
            once, pixel = models[kind].coefficients
            disk.add(
                kind, number(1e6 * once), number(1e9 * pixel), f"{side}×{side}",
                number(1e6 * times[side]), number(1e6 * predicted),
                f"{abs(predicted / times[side] - 1):.0%}",
            )  # fmt: skip
    spec = CodecSpec(2, 2) if options.tiny else DISK_SPEC
    books = bookkeeping_bytes(options.threads, tiny=options.tiny)
    kept = 4 * spec.numbers(1) + books
    tables = [
        ("Encode in memory", encode),
        (f"privatize --output codes from disk, {spec}", disk),
        (f"A release from disk, {spec}: {number(kept)} bytes an image, {number(books)} of them for "
         f"manifest and ledger", cost_table(models, kept)),
    ]  # fmt: skip
    figures = {
        "encode": dict(zip(TERMS, encode_model.coefficients, strict=True)),
        "measured": [asdict(s) | {"core_seconds": t} for s, t in measured.items()],
        "disk": {kind: model.coefficients for kind, model in models.items()},
    }
    finish(options, "cost_model", machine, tables, [formula], figures)


if __name__ == "__main__":
    main()
