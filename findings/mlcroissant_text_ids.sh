#!/usr/bin/env bash
# mlcroissant 1.1.1 reads a CSV column that the Croissant file declares as text (sc:Text) as numbers first: the
# patient identifier 00123 comes back as 123, and can collide with another one. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check mlcroissant==1.1.1 pandas==3.1.1 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import hashlib
import json
import logging
import sys

import mlcroissant

logging.disable()
content = b"patient,finding\n00123,none\n0123,none\n"
with open("patients.csv", "wb") as file:
    file.write(content)
source = mlcroissant.Source(file_object="patients.csv", extract=mlcroissant.Extract(column="patient"))
field = mlcroissant.Field(id="all/patient", name="patient", data_types=[mlcroissant.DataType.TEXT], source=source)
metadata = mlcroissant.Metadata(
    name="patients",
    url="https://example.org/patients",
    distribution=[
        mlcroissant.FileObject(
            id="patients.csv",
            name="patients.csv",
            content_url="patients.csv",
            encoding_formats=["text/csv"],
            sha256=hashlib.sha256(content).hexdigest(),
        )
    ],
    record_sets=[mlcroissant.RecordSet(id="all", name="all", fields=[field])],
)
with open("croissant.json", "w") as file:
    json.dump(metadata.to_json(), file, default=str)
found = [record["all/patient"] for record in mlcroissant.Dataset("croissant.json").records("all")]
print("declared as", mlcroissant.DataType.TEXT, "; written 00123 and 0123, read", found)
sys.exit(0 if found == [b"123", b"123"] else 1)
PYTHON
