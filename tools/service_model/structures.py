"""Structures and enums: the types that callers send and get."""

import re

from service_model.groups import STORY
from service_model.rust import HEADER, camel, snake

# Names of members that Rust keeps for itself.
FIELD_NAMES = {"type": "kind"}


def structures_file(service, group):
    names = sorted(n for n, g in service.home.items() if g == group)
    body = "\n".join(structure(service, n) for n in names)
    calls = []
    for operation in service.operations:
        if service.group_of_operation[operation] == group:
            calls.append(
                f"impl Call for {service.type_name(service.shape_of(operation, 'input'))} {{\n"
                f"    type Output = {service.type_name(service.shape_of(operation, 'output'))};\n"
                f"    const OPERATION: Operation = Operation::{operation};\n}}\n"
            )
    if not names:
        return None
    text = body + "\n" + "\n".join(calls)
    uses = []
    if "BTreeMap" in text:
        uses.append("use std::collections::BTreeMap;\n")
    uses.append("use serde::{Deserialize, Serialize};\n")
    scalars = [s for s in ("Blob", "Timestamp") if re.search(rf"\b{s}\b", text)]
    ours = []
    if scalars:
        ours.append(f"use crate::scalar::{{{', '.join(scalars)}}};")
    if calls:
        ours += ["use crate::call::Call;", "use crate::generated::operations::Operation;"]
    defined = set(names)
    for home in ("enums", "shapes"):
        foreign = sorted(
            service.type_name(n)
            for n, g in service.home.items()
            if g == home and n not in defined and re.search(rf"[ <]{service.type_name(n)}[,>]", text)
        )
        if foreign and home != group:
            ours.append(f"use super::{home}::{{{', '.join(foreign)}}};")
    uses.append("\n".join(ours) + "\n" if ours else "")
    return f"//! {STORY[group]}\n{HEADER}" + "\n".join(uses) + "\n" + text


def structure(service, name):
    shape = service.shapes[name]
    required = set(shape.get("required", []))
    derives = ["Clone", "Debug"]
    if service.has_default(name):
        derives.append("Default")
    derives += ["PartialEq"] if service.has_float(name) else ["PartialEq", "Eq"]
    derives += ["Deserialize", "Serialize"]
    lines = [structure_doc(service, name), f"#[derive({', '.join(derives)})]", f"pub struct {service.type_name(name)} {{"]
    for member, target in shape.get("members", {}).items():
        field = FIELD_NAMES.get(snake(member), snake(member))
        rust = service.rust_type(target["shape"])
        notes = "; required" if member in required else ""
        notes += "; in the query string" if target.get("location") == "querystring" else ""
        notes += "; no longer sent by CloudTrail" if target.get("deprecated") and name not in service.inputs else ""
        lines.append(f"    /// `{member}`: {describe(service, target['shape'])}{notes}.")
        attributes = [f'rename = "{member}"']
        if target.get("location") == "querystring":
            attributes.append("skip_serializing")
        elif member not in required:
            attributes.append('skip_serializing_if = "Option::is_none"')
        if member not in required:
            attributes.append("default")
            rust = f"Option<{rust}>"
        lines.append(f"    #[serde({', '.join(attributes)})]")
        lines.append(f"    pub {field}: {rust},")
    lines.append("}\n")
    return "\n".join(lines)


def structure_doc(service, name):
    for operation in service.operations:
        if service.shape_of(operation, "input") == name:
            return f"/// What a caller sends with {operation}."
        if service.shape_of(operation, "output") == name:
            return f"/// What {operation} answers."
    return f"/// The `{name}` structure of the service model."


def describe(service, name):
    """The constraints of a member as one line of documentation."""
    shape = service.shapes[name]
    kind = shape["type"]
    low, high = shape.get("min"), shape.get("max")
    unit = {"string": "characters", "list": "items", "map": "entries"}.get(kind, "")
    text = {"list": "list", "map": "map", "structure": "structure", "blob": "bytes"}.get(kind, kind)
    if "enum" in shape:
        return "one of " + ", ".join(f"`{v}`" for v in shape["enum"])
    if low is not None and high is not None:
        span = f"{low} to {high}" if low != high else f"exactly {low}"
        text += f", {span} {unit}".rstrip()
    elif high is not None:
        text += f", at most {high} {unit}".rstrip()
    elif low is not None:
        text += f", at least {low} {unit}".rstrip()
    if "pattern" in shape and "uD800" not in shape["pattern"]:
        text += f", matching `{shape['pattern']}`"
    return text


def enums_file(service):
    names = sorted(n for n, g in service.home.items() if g == "enums")
    if not names:
        return None
    parts = []
    for name in names:
        variants = ",\n".join(
            f'        /// `{value}`\n        {camel(value)} = "{value}"' for value in service.shapes[name]["enum"]
        )
        parts.append(
            f"string_enum! {{\n    /// The values of the service model's `{name}`.\n"
            f"    pub enum {service.type_name(name)} {{\n{variants},\n    }}\n}}\n"
        )
    return f"//! Closed sets of words.\n{HEADER}use crate::string_enum::string_enum;\n\n" + "\n".join(parts)
