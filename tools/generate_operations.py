#!/usr/bin/env python3
"""Writes crates/towpath-wire/src/generated from the AWS service models.

The models are the ones inside the installed botocore package: cloudtrail 2013-11-01 and cloudtrail-data 2021-08-11.
Only names, types, constraints and error lists are taken; no documentation text.

    tools/generate_operations.py           writes the files
    tools/generate_operations.py --check   exits 1 if the files on disk differ from what would be written

`rustfmt` must be on the path.
"""

import argparse
import sys

from service_model.constraints import constraint_files
from service_model.groups import GROUPS
from service_model.operations import errors_file, module_file, operation_files
from service_model.rust import HEADER, ROOT, formatted
from service_model.service import Service
from service_model.structures import enums_file, structures_file

TARGET = ROOT / "crates/towpath-wire/src/generated"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="compare instead of writing")
    check = arguments.parse_args().check

    services = [Service("cloudtrail", "2013-11-01", "cloudtrail"), Service("cloudtrail-data", "2021-08-11", "data")]
    files = {}
    for service in services:
        written = []
        for group in list(GROUPS) + ["shapes"]:
            text = structures_file(service, group)
            if text:
                files[f"{service.module}/{group}.rs"] = text
                written.append(group)
        enums = enums_file(service)
        if enums:
            files[f"{service.module}/enums.rs"] = enums
            written.append("enums")
        for name, text in constraint_files(service).items():
            files[f"{service.module}/constraints/{name}.rs"] = text
        files[f"{service.module}/mod.rs"] = module_file(service, written)
    files["errors.rs"] = errors_file(services)
    files |= operation_files(services)
    files["mod.rs"] = (
        "//! What the service models say, as Rust.\n" + HEADER + "pub mod cloudtrail;\npub mod data;\npub mod errors;\npub mod input;\n"
        "mod models;\npub mod operations;\n"
    )

    stale = []
    for name, text in sorted(files.items()):
        path, text = TARGET / name, formatted(text)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for path in TARGET.rglob("*.rs"):
        if str(path.relative_to(TARGET)) not in files:
            stale.append(str(path.relative_to(TARGET)))
            if not check:
                path.unlink()
    if check and stale:
        sys.exit("generated files differ from the models: " + ", ".join(stale))
    print(f"{len(files)} files, {len(stale)} changed")


if __name__ == "__main__":
    main()
