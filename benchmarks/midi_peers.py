"""Peers of `deepfixcx deidentify`, run on the files of `benchmarks.midi` in their own environment.

    pip install dicom-anonymizer==2.1.0 deid==0.4.13 dicognito==0.19.0   # apart from deepfixcx
    python -m benchmarks.midi_peers NAME IN OUT

Each runs with its defaults in one process; files per second and processor time per file are
printed. `orthanc` is the server of that name (Debian: orthanc, orthanc-dicomweb), which anonymizes
one patient after another; `deepfixcx` is the header of deepfixcx alone, without a release and
without a look at the pixels, in its own environment.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom import dcmread


def dicom_anonymizer() -> Callable[[Path, Path], None]:
    """Return the function of dicom-anonymizer for one file."""
    module = importlib.import_module("dicomanonymizer")
    return lambda source, target: module.anonymize_dicom_file(str(source), str(target))


def dicognito() -> Callable[[Path, Path], None]:
    """Return the function of dicognito for one file."""
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer(seed="benchmark")

    def run(source: Path, target: Path) -> None:
        header = dcmread(source, force=True)
        anonymizer.anonymize(header)
        header.save_as(target)

    return run


def deid() -> Callable[[Path, Path], None]:
    """Return the function of deid, with its own recipe, for one file."""
    module: Any = importlib.import_module("deid.dicom")
    recipe = importlib.import_module("deid.config").DeidRecipe()

    def run(source: Path, target: Path) -> None:
        ids = module.get_identifiers([str(source)])
        (made,) = module.replace_identifiers([str(source)], ids=ids, deid=recipe, save=False)
        made.save_as(target)

    return run


def deepfixcx() -> Callable[[Path, Path], None]:
    """Return the function of deepfixcx for one file, with the options of the table."""
    from deepfixcx.deidentify import Deidentifier, Key, Profile
    from deepfixcx.deidentify.quick import quick_header

    profile = Profile(retain_dates=True, retain_patient=True, clean_descriptors=True)
    by = Deidentifier(profile, Key(bytes(32)))

    def run(source: Path, target: Path) -> None:
        content = source.read_bytes()
        quick = quick_header(by, content)
        if quick is not None:
            target.write_bytes(quick.file(quick.pixels(None)))
            return
        header, _ = by.apply(dcmread(source, force=True), keep_pixels=True)
        header.save_as(target, enforce_file_format=True)

    return run


def orthanc(source: Path, target: Path) -> int:
    """Store all files in a server, anonymize each patient there, fetch; return what failed."""
    from tests.release.orthanc import PLUGIN, running

    with tempfile.TemporaryDirectory() as made, running("Orthanc", PLUGIN, Path(made)) as server:
        names: dict[str, str] = {}
        patients = set()
        for path in sorted(source.glob("*.dcm")):
            try:
                stored = json.loads(server.ask("/instances", path.read_bytes())[0])
            except OSError:  # refused: the file is missing, which the scorer counts
                continue
            names[stored["ID"]] = path.name
            patients.add(stored["ParentPatient"])
        done = 0
        for patient in sorted(patients):
            made_patient = json.loads(server.ask(f"/patients/{patient}/anonymize", b"{}")[0])
            for each in json.loads(server.ask(f"/patients/{made_patient['ID']}/instances")[0]):
                at = f"/instances/{each['ID']}"
                old = server.ask(f"{at}/metadata/AnonymizedFrom")[0].decode()
                (target / names[old]).write_bytes(server.ask(f"{at}/file")[0])
                done += 1
    return len(list(source.glob("*.dcm"))) - done


PEERS = {
    "deepfixcx": deepfixcx,
    "dicom-anonymizer": dicom_anonymizer,
    "dicognito": dicognito,
    "deid": deid,
}


def main() -> None:
    """Run one peer on a folder."""
    name, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")
    target.mkdir(parents=True)
    paths = sorted(source.glob("*.dcm"))
    run = PEERS[name]() if name in PEERS else None
    failed, began, used = 0, time.perf_counter(), time.process_time()
    if run is None:
        failed = orthanc(source, target)
    else:
        for path in paths:
            try:
                run(path, target / path.name)
            except (
                Exception
            ):  # whatever a peer raises: the file is missing, which the scorer counts
                failed += 1
    seconds, used = time.perf_counter() - began, time.process_time() - used
    print(json.dumps({"peer": name, "files": len(paths), "failed": failed,
                      "files_per_second": round(len(paths) / seconds, 1),
                      "processor_ms": round(1000 * used / len(paths), 3)}))  # fmt: skip


if __name__ == "__main__":
    main()
