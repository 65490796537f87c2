"""Writes the software bill of materials of a package, in CycloneDX 1.6.

usage: sbom.py PACKAGE.deb < what `apt-get --simulate install` said it would install

The package has no code but our own; what it runs on are packages of Debian, each with the version
that Debian had when this was built.
"""

import hashlib
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

# Inst python3-cbor2 (5.6.5-1 Debian:13.1/stable [amd64])
_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) \S+(?:, \S+)* \[(\w+)\]")


def bill(package: Path, simulation: str) -> dict[str, Any]:
    """Return the bill of `package`."""
    name, version = _field(package, "Package"), _field(package, "Version")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    own = f"pkg:deb/{name}@{version}?arch=all"
    components = [
        _component(*found.groups())
        for line in simulation.splitlines()
        if (found := _INSTALLED.match(line)) and found[1] != name
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # The same package has the same bill, number and all.
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"{own}#{digest}").urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": name,
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "MPL-2.0"}}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": own, "dependsOn": [component["bom-ref"] for component in components]}
        ],
    }


def _component(name: str, version: str, architecture: str) -> dict[str, Any]:
    purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}&distro=trixie"
    return {
        "type": "library",
        "bom-ref": purl,
        "supplier": {"name": "Debian"},
        "name": name,
        "version": version,
        "purl": purl,
    }


def _field(package: Path, name: str) -> str:
    asked = ["dpkg-deb", "--field", str(package), name]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    print(json.dumps(bill(Path(sys.argv[1]), sys.stdin.read()), indent=2))
