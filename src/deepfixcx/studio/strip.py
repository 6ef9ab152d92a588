"""The strip below an image: frames of its file, or the images of its folder, as small pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from deepfixcx.report.html import for_screen, png_bytes
from deepfixcx.studio.elements import Row, put
from deepfixcx.studio.uploads import Picture, Reader
from deepfixcx.studio.workspace import Workspace

__all__ = ["Strip"]

MOST = 200
"""Small pictures of a strip; of a longer series those around the image that is shown."""

SIDE = 64


class Strip:
    """Frames or images to turn through; which it is follows from the image of the tab."""

    def __init__(
        self,
        tab: Workspace,
        pictures: dict[str, Path],
        reader: Reader,
        go: Callable[[int | str], Awaitable[None]],
    ) -> None:
        self.tab, self.pictures, self.reader, self.go = tab, pictures, reader, go
        self.place = Row()
        put(self.place, items=[], chosen=0)
        self.place.on("pick", self._picked)
        self._drawn: object = None
        self._first, self._count = 0, 0
        self._target: Callable[[int], int | str] = int

    @property
    def series(self) -> list[str]:
        """Names of the images in the folder of the image that is shown."""
        folder = PurePosixPath(self.tab.file).parent
        names = self.pictures if self.tab.file else ()
        return [name for name in names if PurePosixPath(name).parent == folder]

    @property
    def count(self) -> int:
        """Frames and images that the wheel leads through."""
        frames = len(self.tab.picture.frames) if self.tab.picture is not None else 1
        return max(frames, len(self.series))

    async def turn(self, step: int, around: bool) -> None:
        """Go to the next frame, and behind the last one to the next image."""
        if self.tab.picture is None:
            return
        frames, names = len(self.tab.picture.frames), self.series
        frame = self.tab.frame + step
        if 0 <= frame < frames or (around and frames > 1):
            await self.go(frame % frames)
        elif self.tab.file in names:
            place = names.index(self.tab.file) + step
            if 0 <= place < len(names):
                await self.go(names[place])

    def show(self, picture: Picture) -> None:
        """Draw what belongs to an image, if it is not there, and mark where it stands."""
        if len(picture.frames) > 1:
            names: Sequence[str] = [str(number) for number in range(1, len(picture.frames) + 1)]
            chosen = self.tab.frame
            self._draw(
                self.tab.subject,
                names,
                chosen,
                lambda place: partial(_of_frame, picture, place),
                int,
            )
        else:
            names = self.series
            chosen = names.index(self.tab.file) if self.tab.file in names else 0
            self._draw(
                tuple(names), names, chosen, lambda place: partial(self._of_file, names[place]),
                lambda place: names[place],
            )  # fmt: skip
        put(self.place, chosen=chosen - self._first)

    def _draw(
        self,
        key: object,
        names: Sequence[str],
        chosen: int,
        picture: Callable[[int], Callable[[], bytes]],
        target: Callable[[int], int | str],
    ) -> None:
        self._target = target
        if key == self._drawn and self._first <= chosen < self._first + self._count:
            return
        self._drawn, several = key, len(names) > 1
        self._first = max(0, min(chosen - MOST // 2, len(names) - MOST))
        self._count = min(MOST, len(names) - self._first) if several else 0
        items = [
            {
                "url": self.tab.show(f"strip-{place}", picture(place)),
                "label": f"{place + 1} of {len(names)}: {PurePosixPath(names[place]).name}",
                "title": PurePosixPath(names[place]).name,
                "number": place + 1,
            }
            for place in range(self._first, self._first + self._count)
        ]
        put(self.place, items=items)
        self.place.set_visibility(several)

    async def _picked(self, event: Any) -> None:
        if isinstance(event.args, int) and 0 <= event.args < self._count:
            await self.go(self._target(self._first + event.args))

    def _of_file(self, name: str) -> bytes:
        return png_bytes(for_screen(self.reader.read(self.pictures[name]).frames[0], SIDE))


def _of_frame(picture: Picture, frame: int) -> bytes:
    return png_bytes(for_screen(picture.frames[frame], SIDE))
