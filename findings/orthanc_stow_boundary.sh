#!/usr/bin/env bash
# Orthanc's DICOMweb client (Debian 12: orthanc 1.10.1, orthanc-dicomweb 1.7) separates the parts of a
# STOW-RS request with boundaries of 73 characters; RFC 2046 (section 5.1.1) allows 70. A server that holds
# to the limit refuses every request. Needs Debian 12 with orthanc and orthanc-dicomweb; exits with 1 once
# the boundary is short enough.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env && env/bin/pip install -q pydicom==3.0.1
cat >server.py <<'PYTHON'
import http.server
import re
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        boundary = re.search(r"boundary=([^;]+)", self.headers["Content-Type"])[1]
        open("boundary", "w").write(boundary)
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
http.server.HTTPServer(("127.0.0.1", 18043), Handler).serve_forever()
PYTHON
env/bin/python server.py 2>/dev/null &
cat >orthanc.json <<'JSON'
{"StorageDirectory": "db", "IndexDirectory": "db", "HttpPort": 18042, "DicomServerEnabled": false,
 "AuthenticationEnabled": false, "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
 "DicomWeb": {"Servers": {"peer": ["http://127.0.0.1:18043/"]}}}
JSON
Orthanc orthanc.json >log 2>&1 &
until curl -fs http://127.0.0.1:18042/system >/dev/null; do sleep 0.2; done
file=$(env/bin/python -c 'from pydicom import examples; print(examples.get_path("mr"))')
id=$(curl -fs http://127.0.0.1:18042/instances --data-binary "@$file" | env/bin/python -c 'import json, sys; print(json.load(sys.stdin)["ID"])')
curl -s http://127.0.0.1:18042/dicom-web/servers/peer/stow -d "{\"Resources\": [\"$id\"], \"Synchronous\": true}" >/dev/null
length=$(($(wc -c <boundary)))
echo "the boundary has $length characters: $(cat boundary)"
[ "$length" -gt 70 ]
