"""The process that decodes one upload: a file on its input, pixels on its output.

Its output is a line of JSON, ``{"bits", "format"}`` or ``{"reason"}``, and the pixels as a NumPy
array behind it.
"""

from __future__ import annotations

import io
import json
import resource
import sys

import numpy as np

from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import read_image

__all__ = ["main"]

MOST_MEMORY = 6 << 30
"""Bytes of address space; a bomb ends here and not with the machine."""


def main(most_pixels: int) -> None:
    """Decode what stands on the standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the image
    content = sys.stdin.buffer.read()
    try:
        frames = read_image(io.BytesIO(content), max_pixels=most_pixels)
    except DeepfixcxError as error:
        _write({"reason": str(error)})
        return
    _write({"bits": frames.bits, "format": frames.format})
    whole = io.BytesIO()  # NumPy asks a file where it is, which a pipe cannot say
    np.save(whole, frames.pixels, allow_pickle=False)
    sys.stdout.buffer.write(whole.getbuffer())


def _write(about: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(about).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
