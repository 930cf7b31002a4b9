"""Constraints: what the model says about every member a caller may send."""

import re
import sys

from service_model.groups import GROUPS, STORY
from service_model.pattern import translate
from service_model.rust import HEADER, rust_string


def constraint_files(service):
    """The shape tables, one file per group of operations; they see each other through the module."""
    names = sorted(service.inputs)
    statics = [service.static_name(n) for n in names]
    doubles = {s for s in statics if statics.count(s) > 1}
    if doubles:
        sys.exit(f"shape names that differ only in case: {doubles}")
    files = {}
    for group in list(GROUPS) + ["shared"]:
        body = "\n".join(constraint(service, n) for n in names if service.constraint_home[n] == group)
        if not body:
            continue
        ours = [w for w in ("Kind", "Location", "Member", "Pattern", "Shape") if re.search(rf"\b{w}\b", body)]
        defined = {service.static_name(n) for n in names if service.constraint_home[n] == group}
        foreign = sorted(set(re.findall(r"&([A-Z][A-Z0-9_]+)\b", body)) - defined)
        foreign = [f for f in foreign if not f.endswith("_PATTERN")]
        uses = f"use super::{{{', '.join(foreign)}}};\n" if foreign else ""
        uses += f"use crate::shape::{{{', '.join(ours)}}};\n"
        what = "what several groups share" if group == "shared" else STORY[group][0].lower() + STORY[group][1:-1]
        files[group] = f"//! Constraints of the {service.model_name} model: {what}.\n{HEADER}{uses}\n{body}"
    text = f"//! What the {service.model_name} model says about every member a caller may send.\n{HEADER}"
    text += "".join(f"mod {g};\n" for g in sorted(files)) + "\n"
    text += "".join(f"pub use {g}::*;\n" for g in sorted(files))
    files["mod"] = text
    return files


def constraint(service, name):
    shape = service.shapes[name]
    kind = shape["type"]
    static = service.static_name(name)

    def option(key):
        return f"Some({shape[key]})" if key in shape else "None"

    if kind == "string":
        pattern = "None"
        prefix = ""
        if "pattern" in shape:
            source, rust = rust_string(shape["pattern"]), rust_string(translate(shape["pattern"]))
            prefix = f"static {static}_PATTERN: Pattern = Pattern::new({source}, {rust});\n"
            pattern = f"Some(&{static}_PATTERN)"
        values = "&[" + ", ".join(f'"{v}"' for v in shape.get("enum", [])) + "]"
        body = f"Kind::String {{ min: {option('min')}, max: {option('max')}, pattern: {pattern}, values: {values} }}"
        return prefix + static_item(static, name, body)
    if kind in ("integer", "long"):
        variant = {"integer": "Integer", "long": "Long"}[kind]
        return static_item(static, name, f"Kind::{variant} {{ min: {option('min')}, max: {option('max')} }}")
    if kind == "list":
        member = service.static_name(shape["member"]["shape"])
        body = f"Kind::List {{ min: {option('min')}, max: {option('max')}, member: &{member} }}"
        return static_item(static, name, body)
    if kind == "map":
        key, value = (service.static_name(shape[p]["shape"]) for p in ("key", "value"))
        body = f"Kind::Map {{ min: {option('min')}, max: {option('max')}, key: &{key}, value: &{value} }}"
        return static_item(static, name, body)
    if kind == "structure":
        members = []
        for member, target in shape.get("members", {}).items():
            location = "Location::Body"
            if target.get("location") == "querystring":
                location = f'Location::Query("{target["locationName"]}")'
            elif "location" in target:
                sys.exit(f"{name}.{member}: location {target['location']} is not supported")
            required = str(member in shape.get("required", [])).lower()
            members.append(
                f'Member {{ name: "{member}", required: {required}, location: {location}, '
                f"shape: &{service.static_name(target['shape'])} }}"
            )
        return static_item(static, name, f"Kind::Structure(&[{', '.join(members)}])")
    plain = {"boolean": "Boolean", "float": "Float", "double": "Float", "timestamp": "Timestamp", "blob": "Blob"}
    return static_item(static, name, f"Kind::{plain[kind]}")


def static_item(static, name, body):
    return f'/// `{name}`.\npub static {static}: Shape = Shape {{ name: "{name}", kind: {body} }};\n'
