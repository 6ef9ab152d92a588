"""CodecTransformer among scikit-learn's own checks, and what it adds to the codec."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx import Codec
from deepfixcx.errors import ImageTooSmallError, SpecError

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: sklearn)")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from deepfixcx.mechanisms import IdentitySuppression, Quantization, Records, TaskProjection
from deepfixcx.sklearn import (
    BandSelector,
    CodecTransformer,
    IdentitySuppressor,
    Quantizer,
    TaskProjector,
)


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        CodecTransformer(),
        CodecTransformer(level=2, wavelet="db2", pooling=("l1", "max"), boundary="periodic"),
        CodecTransformer(grid="padded", patches=3),
    ]
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture
def images() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((6, 3, 20, 24), np.float32)


SETTINGS: list[dict[str, Any]] = [
    {"level": 2, "patches": (3, 2)},
    {"level": 1, "patches": 4, "wavelet": "db2", "pooling": ["l1", "max"], "grid": "padded"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_the_codec(images: NDArray[np.float32], settings: dict[str, Any]) -> None:
    want = Codec(**settings).encode(images).embedding()
    flat = images.reshape(6, -1)
    for X, shape in [(images, None), (images, (3, 20, 24)), (flat, (3, 20, 24))]:
        transformer = CodecTransformer(**settings, image_shape=shape)
        got = transformer.fit_transform(X)
        assert np.array_equal(got, want)
        assert got.dtype == np.float32
        assert transformer.n_features_in_ == 3 * 20 * 24
        assert transformer.image_shape_ == (3, 20, 24)
        assert np.array_equal(transformer.transform(flat), want)
        assert np.array_equal(transformer.transform(images.tolist()), want)


def test_images_without_channels(images: NDArray[np.float32]) -> None:
    gray = images[:, 0]
    want = Codec(2, 3).encode(gray[:, None]).embedding()
    transformer = CodecTransformer(2, 3).fit(gray)
    assert transformer.image_shape_ == (1, 20, 24)
    for X in (gray, gray[:, None], gray.reshape(6, -1)):
        assert np.array_equal(transformer.transform(X), want)
    flat = CodecTransformer(2, 3, image_shape=(20, 24)).fit_transform(gray.reshape(6, -1))
    assert np.array_equal(flat, want)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2"])
def test_integers_are_scaled(dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 9)).astype(dtype)
    want = Codec(1, 2).encode(pixels[:, None]).embedding()
    assert np.array_equal(CodecTransformer(1, 2).fit_transform(pixels), want)
    flat = CodecTransformer(1, 2, image_shape=(9, 9)).fit_transform(pixels.reshape(4, -1))
    assert np.array_equal(flat, want)


@pytest.mark.parametrize("settings", SETTINGS)
def test_names_are_in_the_order_of_the_numbers(
    images: NDArray[np.float32], settings: dict[str, Any]
) -> None:
    transformer = CodecTransformer(**settings).fit(images)
    names = transformer.get_feature_names_out()
    code = Codec(**settings).encode(images)
    values = dict(zip(names, transformer.transform(images)[5], strict=True))
    assert len(values) == len(names) == code.spec.numbers(3)
    path = "av"[: code.spec.level]
    place = code.band(path)[5, 2, 1, 0]
    if len(code.spec.poolings) == 1:
        assert values[f"c2_{path}_r1_c0"] == place
    else:
        assert values[f"c2_{path}_r1_c0_l1"] == place[0]
        assert values[f"c2_{path}_r1_c0_max"] == place[1]


def test_clone_and_pickle(images: NDArray[np.float32]) -> None:
    transformer = CodecTransformer(2, (3, 2), pooling=["l1", "max"]).fit(images)
    assert clone(transformer).get_params() == transformer.get_params()
    with pytest.raises(NotFittedError):
        clone(transformer).transform(images)
    again = pickle.loads(pickle.dumps(transformer))
    assert np.array_equal(again.transform(images), transformer.transform(images))
    assert transformer.set_params(level=1).fit_transform(images).shape == (6, 3 * 4 * 6 * 2)


def test_a_pipeline_learns_and_searches() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    # Classes differ in the strength of vertical stripes, which band v holds.
    stripes = np.where(np.arange(16) % 2, 1, -1) * (0.1 + 0.3 * y[:, None, None])
    X = 0.5 + stripes + 0.05 * rng.standard_normal((40, 16, 16))
    pipeline = make_pipeline(CodecTransformer(2, 2), LogisticRegression(C=100))
    pipeline.fit(X[:20], y[:20])
    assert pipeline.score(X[20:], y[20:]) == 1
    names = pipeline[:-1].get_feature_names_out()
    assert names[np.abs(pipeline[-1].coef_[0]).argmax()].startswith("c0_v")
    search = GridSearchCV(pipeline, {"codectransformer__level": [1, 2]}, cv=2)
    assert search.fit(X, y).best_score_ == 1


def test_data_frames(images: NDArray[np.float32]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(
        images[:, 0].reshape(6, -1), columns=[f"pixel{n}" for n in range(480)], index=list("abcdef")
    )
    transformer = CodecTransformer(1, 2, image_shape=(20, 24)).set_output(transform="pandas")
    out = transformer.fit_transform(frame)
    assert list(out.columns) == list(transformer.get_feature_names_out(frame.columns))
    assert list(out.index) == list("abcdef")
    assert out.to_numpy().dtype == np.float32
    assert list(transformer.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature_names_in_"):
        transformer.get_feature_names_out(frame.columns[::-1])
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(frame.rename(columns={"pixel0": "other"}))


@pytest.mark.parametrize(
    ("settings", "X", "error", "words"),
    [
        ({"level": 0}, np.ones((2, 8, 8)), SpecError, "level"),
        ({"pooling": "mean"}, np.ones((2, 8, 8)), SpecError, "pooling"),
        ({"patches": 5}, np.ones((2, 8, 8)), ImageTooSmallError, "5x5 cells"),
        ({"patches": 2}, np.ones((2, 8)), ImageTooSmallError, "1x8"),
        ({"image_shape": (3, 3)}, np.ones((2, 8)), ValueError, r"image_shape=\(3, 3\)"),
        ({"image_shape": (4, 2)}, np.ones((2, 2, 4)), ValueError, r"image_shape=\(4, 2\)"),
        ({"image_shape": (8,)}, np.ones((2, 8)), ValueError, r"\(H, W\), \(C, H, W\) or None"),
        ({"image_shape": (-2, -4)}, np.ones((2, 8)), ValueError, "image_shape"),
        ({}, np.ones((2, 1, 1, 4, 4)), ValueError, "5 axes"),
        ({}, np.ones(8), ValueError, "1D array"),
        ({}, np.ones((0, 4, 4)), ValueError, "minimum of 1"),
        ({}, np.full((2, 4, 4), np.nan), ValueError, "NaN"),
        ({}, np.full((2, 16), 1e300), ValueError, "infinity|infinite"),
    ],
)
def test_what_cannot_be_fitted(
    settings: dict[str, Any], X: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        CodecTransformer(**settings).fit_transform(X)


def test_what_cannot_be_transformed() -> None:
    transformer = CodecTransformer().fit(np.ones((2, 1, 4, 6)))
    with pytest.raises(ValueError, match="20 features"):
        transformer.transform(np.ones((2, 4, 5)))
    with pytest.raises(ValueError, match=r"\(6, 4\).* \(1, 4, 6\)"):
        transformer.transform(np.ones((2, 6, 4)))
    with pytest.raises(ValueError, match="length equal"):
        transformer.get_feature_names_out(["a"])
    with pytest.raises(NotFittedError):
        CodecTransformer().get_feature_names_out()


WHOLE = np.random.default_rng(3).integers(0, 256, (6, 64)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["UInt8", "uint8[pyarrow]", "int64", "float64", "list"])
def test_the_same_numbers_in_another_container_give_the_same_codes(kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    transformer = CodecTransformer(1, 2, image_shape=(8, 8)).fit(WHOLE)
    other: Any = WHOLE.tolist() if kind == "list" else pandas.DataFrame(WHOLE).astype(kind)
    np.testing.assert_array_equal(transformer.transform(other), transformer.transform(WHOLE))


@pytest.mark.parametrize(
    ("fitted", "given"),
    [
        (WHOLE, WHOLE / 255),
        (WHOLE, WHOLE.astype(np.uint16)),
        (WHOLE, WHOLE * 2.0),
        (WHOLE / 255, WHOLE * 1.0),
        (WHOLE.astype(np.uint16) * 257, WHOLE),
    ],
)
def test_pixels_on_another_scale_are_refused(fitted: Any, given: Any) -> None:
    transformer = CodecTransformer(1, 2, image_shape=(8, 8)).fit(fitted)
    with pytest.raises(ValueError, match="the scale of X differs"):
        transformer.transform(given)


def test_floats_of_unit_range_and_bytes_are_one_scale() -> None:
    transformer = CodecTransformer(1, 2, image_shape=(8, 8)).fit(WHOLE / 255)
    expected = transformer.transform(WHOLE / 255)
    np.testing.assert_allclose(transformer.transform(WHOLE), expected, atol=1e-5)


@pytest.mark.parametrize("axes", [2, 3])
def test_masked_pixels_are_refused(axes: int) -> None:
    images = np.ma.masked_equal(WHOLE.reshape((6, 64) if axes == 2 else (6, 8, 8)), WHOLE[0, 0])
    with pytest.raises(ValueError, match="masked"):
        CodecTransformer(1, 2, image_shape=(8, 8)).fit(images)
    with pytest.raises(ValueError, match="pixels of this array are masked"):
        Codec(1, 2).encode(images.reshape(6, 1, 8, 8))
    with pytest.raises(ValueError, match="masked"):
        CodecTransformer(1, 2, image_shape=(8, 8)).fit(list(images))


WITHOUT = """
import sys
sys.modules["sklearn"] = None
try:
    import deepfixcx.sklearn
except ImportError as error:
    from deepfixcx.errors import MissingExtraError
    assert isinstance(error, MissingExtraError), type(error)
    print(error)
"""


def test_without_scikit_learn_the_import_says_what_to_type() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert "pip install 'deepfixcx[sklearn]" in answer.stdout


@pytest.mark.parametrize("name", ["Quantizer", "TaskProjector", "IdentitySuppressor"])
def test_a_mechanism_in_a_pipeline_is_the_mechanism(name: str) -> None:
    generator = np.random.default_rng(0)
    patients = np.arange(120) // 2
    rows = generator.normal(size=(60, 6))[patients] + 0.3 * generator.normal(size=(120, 6))
    rows, labels = rows.astype(np.float32), rows[:, 1] > 0
    pairs: dict[str, tuple[Any, Any]] = {
        "Quantizer": (Quantizer(4.0), Quantization(4.0)),
        "TaskProjector": (TaskProjector(), TaskProjection()),
        "IdentitySuppressor": (IdentitySuppressor(2, 6), IdentitySuppression(2, 6)),
    }
    step, mechanism = pairs[name]
    fitted = mechanism.fit(Records.of(rows, labels, patients), np.random.default_rng(0))
    got = clone(step).fit(rows, labels, groups=patients)
    assert np.array_equal(got.transform(rows), fitted.represent(rows))
    assert got.guarantee_ == fitted.guarantee
    assert pickle.loads(pickle.dumps(got)).transform(rows).shape == got.transform(rows).shape
    with pytest.raises(NotFittedError):
        clone(step).transform(rows)
    with pytest.raises(ValueError, match="features"):
        got.transform(rows[:, :3])


def test_bands_are_selected_after_the_codec(images: NDArray[np.float32]) -> None:
    shape = (3, 16, 3, 2)
    pipeline = make_pipeline(
        CodecTransformer(level=2, patches=(3, 2)), BandSelector(shape, highest=0.0)
    )
    rows = pipeline.fit_transform(images).reshape(6, *shape)
    assert np.array_equal(rows[:, :, 0], Codec(2, (3, 2)).encode(images).array[:, :, 0])
    assert not rows[:, :, 1:].any()
    with pytest.raises(ValueError, match="no codes of code_shape"):
        BandSelector((1, 4, 2, 2)).fit(np.ones((2, 5)))
