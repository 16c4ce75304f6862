"""The bill of materials of one binary, CycloneDX 1.6, from `cargo metadata` on standard input and `Cargo.lock`.

Only what is linked into the binary or runs while it is built: normal and build dependencies of one target, no tests.
The same Cargo.lock gives the same bytes: no time, no random serial number.
"""

import json
import re
import sys
import uuid
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def checksums(lock: str) -> dict[tuple[str, str], str]:
    """SHA-256 of each crate's package, by name and version."""
    found = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = [^\n]+\nchecksum = "([0-9a-f]{64})"', lock)
    return {(name, version): checksum for name, version, checksum in found}


def component(package: dict, checksum: str | None, kind: ComponentType) -> Component:
    licence = (package["license"] or "").replace("/", " OR ")
    made = Component(
        type=kind,
        name=package["name"],
        version=package["version"],
        bom_ref=f"{package['name']}@{package['version']}",
        purl=PackageURL("cargo", None, package["name"], package["version"]),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        scope=ComponentScope.REQUIRED,
    )
    if checksum:
        made.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=checksum))
    if package["repository"]:
        made.external_references.add(
            ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(package["repository"]))
        )
    return made


def main() -> None:
    root_name, lock = sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8")
    metadata, sums = json.load(sys.stdin), checksums(lock)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    roots = [id for id in metadata["workspace_members"] if packages[id]["name"] == root_name]
    if len(roots) != 1:
        sys.exit(f"error: no package of this workspace is called {root_name}")

    made: dict[str, Component] = {}
    needs: dict[str, list[str]] = {}
    waiting = [roots[0]]
    while waiting:
        id = waiting.pop()
        if id in made:
            continue
        package = packages[id]
        kind = ComponentType.APPLICATION if id == roots[0] else ComponentType.LIBRARY
        made[id] = component(package, sums.get((package["name"], package["version"])), kind)
        needs[id] = [
            needed["pkg"]
            for needed in nodes[id]["deps"]
            if any(how["kind"] in (None, "build") for how in needed["dep_kinds"])
        ]
        waiting.extend(needs[id])

    names = "\n".join(sorted(str(one.bom_ref) for one in made.values()))
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{root_name}\n{lock}\n{names}"))
    bom.metadata.component = made[roots[0]]
    for id, one in made.items():
        if id != roots[0]:
            bom.components.add(one)
    for id, needed in needs.items():
        bom.register_dependency(made[id], [made[other] for other in needed])

    text = JsonV1Dot6(bom).output_as_string(indent=1)
    # The one thing that would differ between two runs.
    document = json.loads(text)
    document["metadata"].pop("timestamp", None)
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong:
        sys.exit(f"error: this is no CycloneDX 1.6: {wrong}")
    print(text)


main()
