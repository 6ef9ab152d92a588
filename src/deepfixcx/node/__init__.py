"""A node of the DICOM network: objects in, de-identified objects out.

`read_config` reads the configuration of a node, and ``deepfixcx node`` runs it: it takes objects in
with C-STORE, keeps each on the disk before it acknowledges it, applies the profile of each route,
and sends the results until their destinations have accepted them. `node_status` reads how far it
is, and `conformance` writes its DICOM conformance statement.
"""

from __future__ import annotations

from deepfixcx.node.config import NodeConfig, read_config
from deepfixcx.node.status import NodeStatus, conformance, node_status

__all__ = ["NodeConfig", "NodeStatus", "conformance", "node_status", "read_config"]
