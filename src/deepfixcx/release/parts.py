"""Codes gathered into files of bounded size."""

from __future__ import annotations

from dataclasses import replace

from deepfixcx._codefile import code_bytes
from deepfixcx.choices import Storage
from deepfixcx.code import Code
from deepfixcx.release.places import Outbox
from deepfixcx.release.records import Record

__all__ = ["CodeParts"]

PART_BYTES = 1 << 26
"""A file of codes holds at most so many bytes of float32 numbers (and always one image)."""


class CodeParts:
    """Collects codes and writes them in files of bounded size, one number of channels a file."""

    def __init__(self, number: int, outbox: Outbox, dtype: Storage) -> None:
        self._number, self._outbox, self._dtype = number, outbox, dtype
        self._waiting: dict[int, list[Code]] = {}
        self._places: dict[tuple[str, int], tuple[str, int]] = {}
        self._keys: dict[int, list[tuple[str, int]]] = {}
        self._hashes: dict[str, str] = {}
        self.sizes: dict[str, int] = {}

    def add(self, codes: Code, rows: list[Record]) -> None:
        """Take the codes of one file, frame by frame."""
        waiting = self._waiting.setdefault(codes.channels, [])
        keys = self._keys.setdefault(codes.channels, [])
        for frame, row in enumerate(rows):
            code = codes if len(rows) == 1 else codes[frame]
            if waiting and (len(waiting) + 1) * code.array.nbytes > PART_BYTES:
                self._write(codes.channels)
            waiting.append(code)
            keys.append((row.source_id, row.frame))

    def finish(self, records: list[Record]) -> list[Record]:
        """Write what is left, and tell each record where its code went."""
        for channels in sorted(self._waiting):
            self._write(channels)
        return [self._with_place(record) for record in records]

    def _write(self, channels: int) -> None:
        codes, keys = self._waiting[channels], self._keys[channels]
        if not codes:
            return
        name = f"codes/shard-{self._number:05d}-{len(self._hashes):02d}.safetensors"
        code = Code.concatenate(codes)
        content = code_bytes(code.array, code.sizes, code.spec, self._dtype)
        self._hashes[name] = self._outbox.put(name, content)
        self.sizes[name] = len(content)
        self._places |= {key: (name, row) for row, key in enumerate(keys)}
        codes.clear()
        keys.clear()

    def _with_place(self, record: Record) -> Record:
        if (record.source_id, record.frame) not in self._places:
            return record
        name, row = self._places[record.source_id, record.frame]
        return replace(
            record,
            code_file=name,
            code_row=row,
            code_dtype=self._dtype,
            code_sha256=self._hashes[name],
        )
