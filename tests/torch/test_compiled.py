"""Compiled and exported modules give the numbers of plain ones, and have no graph breaks."""

from __future__ import annotations

import io
from pathlib import Path
from shutil import which
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

import torch

from deepfixcx import CodecSpec
from deepfixcx.torch import Decode, Encode, Privatize
from deepfixcx.torch.functional import encode

SETTINGS: list[dict[str, Any]] = [
    {"level": 2, "patches": 3},
    {
        "level": 1,
        "patches": (3, 2),
        "wavelet": "db2",
        "pooling": ("l2", "median", "max"),
        "boundary": "periodic",
        "grid": "padded",
    },
    {"level": 1, "patches": 2, "wavelet": "bior2.2", "pooling": "median"},
    {"level": 1, "patches": 2, "wavelet": "db2", "adaptive": "filters1d"},
    {"level": 1, "patches": 2, "boundary": "periodic", "adaptive": "filters2d"},
]

BATCH = {"pixels": {0: torch.export.Dim("batch")}}

# torch warns of its own parts while it exports
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(autouse=True)
def _nothing_compiled_yet() -> None:
    torch.compiler.reset()


def compiled(module: torch.nn.Module) -> Any:
    """Compile without leave to break the graph; the backend runs what was traced, gradients too."""
    return torch.compile(module, fullgraph=True, backend="aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("grad", [False, True])
def test_compiled_without_graph_breaks(settings: dict[str, Any], grad: bool) -> None:
    module = Privatize(**settings, size="original")
    fast = compiled(module)
    for batch in (2, 5):
        pixels = torch.rand(batch, 1, 19, 22, requires_grad=grad)
        got, want = fast(pixels), module(pixels)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
        if grad:
            gradients = [torch.autograd.grad(y.square().sum(), pixels)[0] for y in (got, want)]
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_each_size_of_images_compiles_anew() -> None:
    module = Encode(1, 3)
    fast = compiled(module)
    for height, width in ((16, 18), (17, 18), (23, 30)):
        for grad in (False, True):
            pixels = torch.rand(1, 1, height, width, requires_grad=grad)
            torch.testing.assert_close(fast(pixels), module(pixels), rtol=0, atol=1e-6)


def test_two_specs_do_not_share_what_was_compiled() -> None:
    pixels = torch.rand(1, 1, 16, 16, requires_grad=True)
    for spec in (CodecSpec(1, 2), CodecSpec(1, 4), CodecSpec(2, 2), CodecSpec(1, 2, "db2")):
        torch.testing.assert_close(compiled(Encode(spec))(pixels), Encode(spec)(pixels))


def test_a_compiled_module_calls_the_kernel() -> None:
    targets: list[str] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    torch.compile(Encode(1, 2), fullgraph=True, backend=backend)(torch.rand(1, 1, 8, 8))
    assert any("deepfixcx.encode" in target for target in targets)


def test_too_small_images_are_named_by_a_compiled_module_too() -> None:
    with pytest.raises(Exception, match="an image of 4x4 has bands of 1x1"):
        compiled(Encode(2, 3))(torch.rand(1, 1, 4, 4, requires_grad=True))


@pytest.mark.slow
@pytest.mark.skipif(not (which("g++") or which("clang++")), reason="no C++ compiler is installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inductor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    module = Privatize(2, 3, size="original")
    for grad in (False, True):
        pixels = torch.rand(2, 1, 24, 24, requires_grad=grad)
        got = torch.compile(module, fullgraph=True)(pixels)
        torch.testing.assert_close(got, module(pixels), rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_exported_programs_need_no_deepfixcx(settings: dict[str, Any]) -> None:
    module = Privatize(**settings).eval()
    program = torch.export.export(module, (torch.rand(2, 1, 19, 22),), dynamic_shapes=BATCH)
    assert "deepfixcx" not in str(program.graph)
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    again = torch.export.load(stored).module()
    for batch in (1, 2, 5):
        pixels = torch.rand(batch, 1, 19, 22)
        torch.testing.assert_close(again(pixels), module(pixels), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        *((settings, "privatize") for settings in SETTINGS),
        *((settings, "encode") for settings in SETTINGS[:2]),
        *((settings, "decode") for settings in SETTINGS[:2]),
    ],
    ids=str,
)
def test_onnx(settings: dict[str, Any], kind: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    module: Any = {
        "encode": Encode(**settings),
        "decode": Decode(**settings, size=(19, 22)),
        "privatize": Privatize(**settings, size="original"),
    }[kind].eval()
    inputs = torch.rand(2, 1, 19, 22)
    shapes: Any = BATCH
    if kind == "decode":
        inputs = torch.rand(2, *module.spec.code_shape(1))
        shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        module, (inputs,), dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    assert program is not None
    session = runtime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for batch in (1, 2, 5):
        numbers = torch.rand(batch, *inputs.shape[1:])
        (got,) = session.run(None, {session.get_inputs()[0].name: numbers.numpy()})
        with torch.no_grad():
            want = module(numbers)
        torch.testing.assert_close(torch.from_numpy(got), want, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_onnx_of_integers() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pixels = (torch.rand(1, 1, 24, 24) * 255).to(torch.uint8)
    program = torch.onnx.export(Encode(2, 3).eval(), (pixels,), dynamo=True, verbose=False)
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    (got,) = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})
    want = encode(pixels, CodecSpec(2, 3))
    torch.testing.assert_close(torch.from_numpy(got), want, rtol=0, atol=1e-5)
