"""Compiled loops. Nothing here is public; `packets`, `pooling` and `codec` call them.

Every kernel releases the interpreter lock and works on a run of images alone; threads are ordinary
Python threads (see `threads`). Compiled code is cached beside the sources, or in the user's cache
folder where that is not writable. Where neither is, as in a container without a home, it is cached
in a temporary folder of this process, which its worker processes use too.
"""

import os
import tempfile

from numba import config, njit
from numba.core.caching import FunctionCache


def _find_cache() -> tempfile.TemporaryDirectory[str] | None:
    """Give numba a folder where it finds none of its own, and would raise an error."""
    try:
        FunctionCache(_find_cache)
    except RuntimeError:
        folder = tempfile.TemporaryDirectory(prefix="deepfixcx-compiled-")
        os.environ["NUMBA_CACHE_DIR"] = folder.name
        config.reload_config()
        return folder
    return None


_CACHE = _find_cache()
"""Removed when this process ends."""


@njit(cache=True, nogil=True)
def look_up(table, places, target):
    """Fill `target` (k,) with the entries of `table` (n,) at `places` (k,), all below n."""
    for pixel in range(places.size):
        target[pixel] = table[places[pixel]]
