"""A sweep on made-up images: its rows, what it recommends, and that it survives a stop."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image as Pillow

from deepfixcx import Codec, CodecSpec
from deepfixcx.datasets import Dataset, ImageRecord, Split
from deepfixcx.errors import LabelError, ModelError, SpecError, SplitError
from deepfixcx.experiments import sweep as sweeping
from deepfixcx.experiments.recommendation import recommend_code
from deepfixcx.experiments.rows import Row, sweep_as_csv
from deepfixcx.experiments.sweep import Sweep, SweepOptions, run_sweep
from deepfixcx.io.folders import MARKER
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import score_by_logistic, score_by_mlp, score_by_network
from deepfixcx.measures.quality import psnr, ssim
from deepfixcx.report.grid_figures import comparison_figure, heatmap_figure

OPTIONS = SweepOptions(levels=(1, 2, 5), patches=(2, 3), folds=3)


def make_dataset(folder: Path, patients: int = 20, colour: bool = False) -> Dataset:
    """Two images a patient; the sick have fine texture, and every second patient has view AP."""
    generator = np.random.default_rng(0)
    records = []
    for number in range(2 * patients):
        patient = number // 2
        sick = patient % 4 < 2
        pixels = (
            generator.normal(120, 20 + 40 * generator.random(), (8, 8)).repeat(5, 0).repeat(5, 1)
        )
        pixels = pixels + generator.normal(0, 12 if sick else 8, (40, 40))
        whole = np.clip(pixels, 0, 255).astype(np.uint8)
        image = Pillow.fromarray(whole)
        if colour and number == 0:
            image = Pillow.fromarray(np.stack([whole, whole.T, whole], axis=2))
        path = folder / f"{number}.png"
        image.save(path)
        view = "AP" if patient % 2 else "PA"
        records.append(
            ImageRecord(path, f"p{patient}", view=view, labels=(float(sick),), known=(True,))
        )
    return Dataset("table", ("sick",), tuple(records), folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path]:
    folder = tmp_path_factory.mktemp("sweep") / "out"
    return run_sweep(dataset, folder, OPTIONS), folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


# -- rows -------------------------------------------------------------------------------------


def test_every_setting_has_a_row_or_a_reason(finished: tuple[Sweep, Path]) -> None:
    sweep, folder = finished
    assert [row.name for row in sweep.rows] == [
        "original",
        "J1_P2",
        "J1_P3",
        "J2_P2",
        "J2_P3",
        "J5_P2",
    ]
    assert [(each.level, each.patches) for each in sweep.skipped] == [(5, (3, 3))]
    assert "bands of 2x2" in sweep.skipped[0].reason
    assert (sweep.images, sweep.patients, sweep.failures) == (40, 20, ())
    table = list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))
    assert [row["what"] for row in table] == ["original", *["code"] * 5]
    assert [(row["level"], row["patches"]) for row in table[1:3]] == [("1", "2"), ("1", "3")]
    names = ["numbers", "share", "ratio_memory", "ratio_disk", "ssim", "psnr"]
    names += ["blur_ssim", "blur_psnr", "median_ssim", "median_psnr"]
    for prefix in ("", "blur_", "median_"):
        names += [f"{prefix}auc", f"{prefix}auc_low", f"{prefix}auc_high"]
    names += ["auc_joint_low", "auc_joint_high"]
    names += ["auc_behind", "auc_behind_low", "auc_behind_high"]
    assert list(table[0]) == ["what", "level", "patches", *names]
    # the code of J=5, P=2 holds more numbers than the image, so its baselines are the image
    gaps = [(row["level"], name) for row in table[1:] for name in names if not row[name]]
    assert gaps == [("5", "blur_psnr"), ("5", "median_psnr")]


def test_sizes_are_counted_right(finished: tuple[Sweep, Path]) -> None:
    figures = finished[0].rows[2].figures  # J=1, P=3 of 40 x 40
    assert figures["numbers"] == 36
    assert figures["share"] == pytest.approx(36 / 1600)
    assert figures["ratio_memory"] == pytest.approx(1600 / (4 * 36), rel=1e-5)
    assert 1 < figures["ratio_disk"] < 1600 * 1.2 / (4 * 36)


def test_more_numbers_reconstruct_better(finished: tuple[Sweep, Path]) -> None:
    one, more = finished[0].rows[1].figures, finished[0].rows[2].figures
    assert more["psnr"] > one["psnr"]
    assert more["blur_psnr"] > one["blur_psnr"]
    assert one["blur_ssim"] < more["blur_ssim"] < 1


def test_quality_is_that_of_the_plain_reconstruction(
    dataset: Dataset, finished: tuple[Sweep, Path]
) -> None:
    pixels = np.stack([np.asarray(Pillow.open(each.path)) for each in dataset.records])[:, None]
    made = Codec(level=1, patches=2).privatize(pixels, size="original")
    pairs = list(zip(pixels / 255, made, strict=True))
    figures = finished[0].rows[1].figures
    assert figures["ssim"] == pytest.approx(np.mean([ssim(*pair) for pair in pairs]), abs=1e-6)
    assert figures["psnr"] == pytest.approx(np.mean([psnr(*pair) for pair in pairs]), rel=1e-6)


def test_codes_see_texture_that_baselines_lose(finished: tuple[Sweep, Path]) -> None:
    figures = finished[0].rows[1].figures
    assert figures["auc"] > 0.9
    assert figures["auc_low"] <= figures["auc"] <= figures["auc_high"]
    assert figures["blur_auc"] < 0.75
    assert figures["median_auc"] < 0.75


def test_a_shuffled_label_is_worth_nothing(dataset: Dataset, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    kinds = generator.permutation(20) % 2
    records = tuple(
        ImageRecord(each.path, each.patient, labels=(float(kinds[place // 2]),), known=(True,))
        for place, each in enumerate(dataset.records)
    )
    mixed = Dataset("table", ("coin",), records, dataset.root)
    sweep = run_sweep(mixed, tmp_path / "out", SweepOptions((1,), (2,), folds=3))
    assert sweep.rows[1].figures["auc_low"] < 0.5
    assert sweep.recommendation.row is None
    assert "better than chance" in sweep.recommendation.sentence


def test_workers_change_no_byte(
    dataset: Dataset, finished: tuple[Sweep, Path], tmp_path: Path
) -> None:
    run_sweep(dataset, tmp_path / "out", OPTIONS, workers=2)
    assert bytes_of(tmp_path / "out") == bytes_of(finished[1])


def test_seed_and_groups_change_the_judgement(dataset: Dataset, tmp_path: Path) -> None:
    one = SweepOptions((1,), (2,), folds=3)
    tried = (one, replace(one, seed=1), replace(one, within="view"))
    areas = {
        run_sweep(dataset, tmp_path / str(number), options).rows[1].figures["blur_auc"]
        for number, options in enumerate(tried)
    }
    assert len(areas) == 3
    with pytest.raises(ModelError, match="no image has 'device'"):
        run_sweep(dataset, tmp_path / "d", replace(one, within="device"))


def test_colour_makes_all_images_colour(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, patients=6, colour=True)
    sweep = run_sweep(dataset, tmp_path / "out", SweepOptions((1,), (2,), folds=3))
    assert sweep.rows[1].figures["numbers"] == 48
    assert sweep.rows[1].figures["share"] == pytest.approx(48 / 4800)


def test_several_labels_are_judged_together_and_apart(dataset: Dataset, tmp_path: Path) -> None:
    both = tuple(
        ImageRecord(
            each.path, each.patient, labels=(*each.labels, 1 - each.labels[0]), known=(True, True)
        )
        for each in dataset.records
    )
    pair = Dataset("table", ("sick", "well"), both, dataset.root)
    figures = run_sweep(pair, tmp_path / "out", SweepOptions((1,), (2,), folds=3)).rows[1].figures
    assert figures["auc"] == pytest.approx((figures["auc_sick"] + figures["auc_well"]) / 2)
    assert "blur_auc_sick_low" in figures


def test_mlp_learns_from_codes_and_baselines(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    options = SweepOptions((1,), (2,), folds=3, model="mlp", epochs=3)
    figures = run_sweep(dataset, tmp_path / "out", options).rows[1].figures
    assert all(math.isfinite(figures[name]) for name in ("auc", "blur_auc", "median_auc"))


def test_a_network_is_judged_beside(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    options = SweepOptions((1,), (2,), folds=3, cnn="tests.learn.own:Small", side=16, epochs=1)
    sweep = run_sweep(dataset, tmp_path / "out", options)
    assert math.isfinite(sweep.rows[0].figures["cnn_auc"])
    for name in ("cnn_auc", "blur_cnn_auc", "median_cnn_auc"):
        assert math.isfinite(sweep.rows[1].figures[name])
    assert "AUC, network on images" in [
        axes.get_title(loc="left").partition(" (")[0] for axes in heatmap_figure(sweep.rows).axes
    ]
    assert comparison_figure(sweep.rows, "cnn_auc").axes


@pytest.mark.parametrize("model", ["logistic", "mlp", "network"])
def test_no_score_depends_on_the_labels_of_its_own_fold(model: str) -> None:
    if model != "logistic":
        pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    labels = (np.arange(36) // 2 % 2).astype(np.float32)[:, None]
    shape = (36, 1, 8, 8) if model == "network" else (36, 1, 4, 2, 2)
    inputs = generator.random(shape, np.float32) + 0.1 * labels.reshape(-1, *[1] * (len(shape) - 1))
    parts = np.arange(36).reshape(3, 12)
    folds = tuple(
        Split(parts[(fold + 2) % 3], parts[(fold + 1) % 3], parts[fold]) for fold in range(3)
    )

    def scores(truth: NDArray[np.float32]) -> NDArray[np.float32]:
        if model == "logistic":
            return score_by_logistic(inputs, truth, folds, rooted=False)
        if model == "mlp":
            options = TrainingOptions("mlp", spec=CodecSpec(1, 2), epochs=2)
            return score_by_mlp(inputs, truth, folds, options, "cpu")
        options = TrainingOptions("tests.learn.own:Small", "original", side=8, epochs=1)
        return score_by_network(inputs, truth, folds, options, "cpu")

    plain = scores(labels)
    for fold, others in ((0, 1), (2, 0)):
        turned = labels.copy()
        turned[parts[fold]] = 1 - turned[parts[fold]]
        changed = scores(turned)
        assert np.array_equal(changed[parts[fold]], plain[parts[fold]])
        assert not np.array_equal(changed[parts[others]], plain[parts[others]])


# -- bad input --------------------------------------------------------------------------------


def test_bad_files_are_left_out_and_listed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, patients=12)
    (tmp_path / "3.png").write_text("Jane Doe")
    Pillow.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "6.png")
    sweep = run_sweep(dataset, tmp_path / "out", SweepOptions((1, 2), (2,), folds=3))
    assert sweep.images == 22
    assert [(each.place, each.error) for each in sweep.failures] == [
        (3, "NotAnImageError"),
        (6, "ImageTooSmallError"),
    ]
    lines = csv.reader((tmp_path / "out" / "failures.csv").read_text().splitlines())
    assert [line[:2] for line in lines] == [
        ["image", "error"],
        ["4", "NotAnImageError"],
        ["7", "ImageTooSmallError"],
    ]
    assert b"Jane" not in b"".join(bytes_of(tmp_path / "out").values())
    assert b"p5" not in b"".join(bytes_of(tmp_path / "out").values())


def test_what_cannot_be_swept_is_named(dataset: Dataset, tmp_path: Path) -> None:
    one = SweepOptions((1,), (2,), folds=3)
    healthy = dataset.select(dataset.labels[:, 0] == 0)
    with pytest.raises(LabelError, match="0 positives"):
        run_sweep(healthy, tmp_path / "a", one)
    with pytest.raises(LabelError, match="no labels"):
        run_sweep(Dataset("table", (), dataset.records, dataset.root), tmp_path / "b", one)
    with pytest.raises(ModelError, match="no setting fits"):
        run_sweep(dataset, tmp_path / "c", SweepOptions((6,), (8,), folds=3))
    with pytest.raises(SplitError):
        run_sweep(dataset, tmp_path / "d", SweepOptions((1,), (2,), folds=30))
    gone = tuple(ImageRecord(tmp_path / "gone", "p", labels=(1.0,), known=(True,)) for _ in "ab")
    with pytest.raises(ModelError, match="no image can be used; most often UnreadableFileError"):
        run_sweep(Dataset("table", ("sick",), gone, tmp_path), tmp_path / "e", one)
    assert not any((tmp_path / name).exists() for name in "abcde")


@pytest.mark.parametrize(
    "options",
    [
        {"levels": ()},
        {"patches": (2, 2)},
        {"folds": 2},
        {"side": 64},
        {"epochs": 3},
        {"model": "forest"},
        {"cnn": "resnet"},
        {"levels": (1,), "patches": (2,), "cnn": "resnet18", "side": 1, "like": CodecSpec(1, 1)},
        {"levels": (13,)},
        {"patches": (0,)},
    ],
)
def test_bad_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises((ModelError, SpecError, ValueError)):
        SweepOptions(**options)  # type: ignore[arg-type]


# -- folders ----------------------------------------------------------------------------------


def test_a_stopped_sweep_goes_on_to_the_same_bytes(
    dataset: Dataset,
    finished: tuple[Sweep, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    real = sweeping._measure_setting

    def stop_at_the_third(spec: CodecSpec, *rest: object) -> Row:
        done.append(str(spec))
        if len(done) == 3:
            raise KeyboardInterrupt
        return real(spec, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sweeping, "_measure_setting", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(dataset, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out" / "sweep.csv").exists()
    with pytest.raises(ModelError, match="--resume"):
        run_sweep(dataset, tmp_path / "out", OPTIONS)
    sweep = run_sweep(dataset, tmp_path / "out", OPTIONS, resume=True)
    assert len(done) == 3 + 3  # two were done, three are left
    assert bytes_of(tmp_path / "out") == bytes_of(finished[1])
    assert sweep.rows == finished[0].rows
    assert run_sweep(dataset, tmp_path / "out", OPTIONS, resume=True).rows == sweep.rows
    assert len(done) == 6


def test_only_the_same_sweep_is_resumed(
    dataset: Dataset, finished: tuple[Sweep, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    before = bytes_of(out)
    with pytest.raises(ModelError, match=r"differs in seed \(0, now 1\); use"):
        run_sweep(dataset, out, SweepOptions((1, 2, 5), (2, 3), folds=3, seed=1), resume=True)
    with pytest.raises(ModelError, match="differs in images; use"):
        run_sweep(dataset.select(range(38)), out, OPTIONS, resume=True)
    row = (out / "rows" / "J1_P2.json").read_bytes()
    better = row.replace(b'"auc": 0.', b'"auc": 0.9')
    (out / "rows" / "J1_P2.json").write_bytes(better)
    assert better != row
    with pytest.raises(ModelError, match="the row J1_P2 of the sweep was changed"):
        run_sweep(dataset, out, OPTIONS, resume=True)
    with pytest.raises(ModelError, match="changed since"):
        run_sweep(dataset, out, OPTIONS, overwrite=True)
    (out / "rows" / "J1_P2.json").write_bytes(row)
    about = (out / "sweep.json").read_bytes()
    (out / "sweep.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        run_sweep(dataset, out, OPTIONS, resume=True)
    (out / "sweep.json").write_bytes(about)
    run_sweep(dataset, out, OPTIONS, overwrite=True)
    assert bytes_of(out) == before


def test_copies_of_an_image_under_two_patients_lie_in_one_fold(tmp_path: Path) -> None:
    """A classifier that knows an image by heart would seem to know the other patient."""
    dataset = make_dataset(tmp_path, patients=6)
    twins = [replace(each, patient=f"{each.patient} again") for each in dataset.records]
    double = replace(dataset, records=(*dataset.records, *twins))
    sweep = run_sweep(double, tmp_path / "out", SweepOptions((1,), (2,), folds=3))
    assert (sweep.images, sweep.patients) == (24, 6)
    assert "patients who share an image count as one: 6 patients fewer" in sweep.notes


def test_changed_images_are_noticed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, patients=6)
    options = SweepOptions((1,), (2,), folds=3)
    run_sweep(dataset, tmp_path / "out", options)
    Pillow.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "3.png")
    with pytest.raises(ModelError, match="images differ from those at the start"):
        run_sweep(dataset, tmp_path / "out", options, resume=True)


def test_other_folders_are_not_touched(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ModelError, match="not empty"):
            run_sweep(dataset, tmp_path / "mine", OPTIONS, overwrite=overwrite)
    with pytest.raises(ModelError, match="is a file"):
        run_sweep(dataset, tmp_path / "mine" / "note.txt", OPTIONS)
    assert bytes_of(tmp_path / "mine") == {"note.txt": b"mine"}


# -- figures ----------------------------------------------------------------------------------


def test_heatmaps_show_every_setting_and_frame_one(finished: tuple[Sweep, Path]) -> None:
    figure = heatmap_figure(finished[0].rows, (2, 3))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:4] == [
        "share of values kept",
        "times smaller in memory",
        "times smaller on disk",
        "SSIM of the reconstruction",
    ]
    area = finished[0].rows[0].figures["auc"]
    assert titles[5] == f"AUC, codes (original {area:.3f})"
    for axes in figure.axes:
        words = [text.get_text() for text in axes.texts]
        assert len(words) == 6
        assert words[5] == "does not\nfit"
        (frame,) = axes.patches
        assert isinstance(frame, Rectangle)
        assert frame.get_xy() == (0.5, 0.5)
    assert figure.axes[0].texts[3].get_text() == "9 %"
    assert not heatmap_figure(finished[0].rows).axes[0].patches
    assert figure.get_supxlabel().startswith("framed: recommended; dark: better")
    assert not heatmap_figure(finished[0].rows).get_supxlabel().startswith("framed")
    with pytest.raises(ModelError, match="no setting to draw"):
        heatmap_figure(finished[0].rows[:1])


def shades(axes: Axes) -> list[float]:
    """Return how bright the cells are, row by row."""
    (image,) = axes.images
    return [float(cell[:3].mean()) for cell in image.to_rgba(np.asarray(image.get_array()))[0]]


def test_dark_is_better_and_letters_can_be_read() -> None:
    rows = [
        Row(1, patches, {"share": share, "ssim": 0.5, "auc": auc, "ratio_disk": 1 / share})
        for patches, share, auc in ((2, 0.01, 0.7), (4, 0.04, 0.9), (8, 0.16, 0.8))
    ]
    share, disk, same, auc = heatmap_figure(rows).axes
    for axes, order in ((share, [0, 1, 2]), (disk, [0, 1, 2]), (auc, [1, 2, 0])):
        assert np.argsort(shades(axes)).tolist() == order
    middle = shades(same)
    assert len(set(middle)) == 1
    assert min(shades(auc)) < middle[0] < max(shades(auc))
    for axes in (share, disk, same, auc):
        for text, shade in zip(axes.texts, shades(axes), strict=True):
            letters = np.mean(to_rgb(text.get_color()))
            assert abs(letters - shade) > 0.35


def test_codes_are_drawn_beside_their_baselines(finished: tuple[Sweep, Path]) -> None:
    figure = comparison_figure(finished[0].rows)
    _, names = figure.axes[0].get_legend_handles_labels()
    assert sorted(names) == ["blur", "codes", "median", "original at 64 × 64"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1,2", "1,3", "2,2", "2,3", "5,2"]
    with pytest.raises(ModelError, match="--cnn"):
        comparison_figure(finished[0].rows, "cnn_auc")


# -- the rule ---------------------------------------------------------------------------------


def row(level: int, patches: int, numbers: int, auc: float, low: float, high: float) -> Row:
    figures = {"numbers": numbers, "share": numbers / 1e5}
    return Row(level, patches, figures | {"auc": auc, "auc_low": low, "auc_high": high})


ORIGINAL = Row(figures={"auc": 0.99, "auc_low": 0.98, "auc_high": 1.0})


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        # the smallest that reaches the best, however good the original is
        ([row(1, 2, 16, 0.7, 0.65, 0.74), row(2, 2, 64, 0.85, 0.8, 0.9),
          row(3, 4, 1024, 0.9, 0.88, 0.92)], (2, 2)),
        # the best itself is the smallest
        ([row(1, 2, 16, 0.9, 0.86, 0.93), row(3, 4, 1024, 0.8, 0.75, 0.89)], (1, 2)),
        # reaching is enough, to the digit
        ([row(1, 2, 16, 0.8, 0.7, 0.9), row(3, 4, 1024, 0.9, 0.88, 0.92)], (1, 2)),
        ([row(1, 2, 16, 0.8, 0.7, 0.8999), row(3, 4, 1024, 0.9, 0.88, 0.92)], (3, 4)),
        # of equally small ones the better; of equally good ones the lower level
        ([row(1, 8, 256, 0.85, 0.8, 0.9), row(2, 4, 256, 0.86, 0.8, 0.9)], (2, 4)),
        ([row(2, 4, 256, 0.86, 0.8, 0.9), row(1, 8, 256, 0.86, 0.8, 0.9)], (1, 8)),
        # a row without AUC is no candidate
        ([row(1, 1, 4, math.nan, math.nan, math.nan), row(2, 4, 256, 0.86, 0.8, 0.9)], (2, 4)),
    ],
)  # fmt: skip
def test_the_rule(rows: list[Row], chosen: tuple[int, int]) -> None:
    for order in (rows, rows[::-1]):
        found = recommend_code([ORIGINAL, *order])
        assert found.row is not None
        assert (found.row.level, found.row.patches) == chosen
        assert f"Take J={chosen[0]}, P={chosen[1]}" in found.sentence
        assert "0.990 [0.980, 1.000]" in found.sentence
        assert found.sentence.endswith(".")
        assert "\n" not in found.sentence


def test_no_rule_without_evidence() -> None:
    nothing = recommend_code([ORIGINAL, row(1, 2, 16, 0.6, 0.45, 0.7)])
    assert nothing.row is None
    assert "0.600 [0.450, 0.700]" in nothing.sentence
    assert recommend_code([ORIGINAL]).row is None


def test_rows_are_stored_with_their_gaps() -> None:
    first = Row(2, 4, {"auc": 0.123456789, "psnr": math.nan, "numbers": 16})
    again = Row.from_json(first.to_json())
    assert again.name == "J2_P4"
    assert again.figures["auc"] == 0.123457
    assert math.isnan(again.figures["psnr"])
    assert json.loads(first.to_json())["figures"]["psnr"] is None
    assert sweep_as_csv([again]).splitlines()[1] == "code,2,4,0.123457,,16"
