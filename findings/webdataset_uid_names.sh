#!/usr/bin/env bash
# webdataset 1.0.2 takes all behind the first dot of a file name for the extension. Files named by their DICOM
# UIDs have one key, "1", so that images which follow each other in a tar become one sample. Its own TarWriter
# writes such keys without a word and its reader does not return them. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check webdataset==1.0.2 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import sys

import webdataset

keys = ["1.2.840.113619.2.1", "1.2.840.113619.2.2", "1.2.840.113619.2.3"]
with webdataset.TarWriter("uids.tar") as tar:
    for key in keys:
        tar.write({"__key__": key, "txt": "an image"})
samples = list(webdataset.WebDataset("uids.tar", shardshuffle=False))
found = [(sample["__key__"], sorted(name for name in sample if name[0] != "_")) for sample in samples]
print("written:", keys)
print("read:", found)
sys.exit(0 if found == [("1", [f"{key[2:]}.txt" for key in keys])] else 1)
PYTHON
