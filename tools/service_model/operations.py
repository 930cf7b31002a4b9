"""What is written once for all services: operations, inputs, entries of the models, errors; and each service's module."""

import sys

from service_model.rust import HEADER, snake

# What the names of operations begin with that change nothing.
READ_ONLY = ("Get", "List", "Describe", "Lookup", "Search")


def module_file(service, files):
    groups = files
    lines = [f"//! The types of {service.model_name} {service.version}.", HEADER]
    lines.append("pub mod constraints;")
    lines += [f"mod {g};" for g in sorted(groups)]
    lines.append("")
    lines += [f"pub use {g}::*;" for g in sorted(groups)]
    return "\n".join(lines) + "\n"


def operation_files(services):
    """The operation enum, the input enum and the model entry of each operation."""
    every = [(service, op) for service in services for op in service.operations]

    def input_type(service, op):
        return f"{service.module}::{service.type_name(service.shape_of(op, 'input'))}"

    out = [
        "//! Every operation of the service models.\n" + HEADER,
        "use super::models;\nuse crate::operation::OperationModel;\n",
        "/// One operation of the CloudTrail or CloudTrail Data service model.",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]",
        "pub enum Operation {",
    ]
    for service, op in every:
        out.append(f"    /// `{op}` of {service.model_name}.\n    {op},")
    out.append("}\n")
    out.append("impl Operation {")
    out.append("    /// Every operation, CloudTrail's first, each service in alphabetical order.")
    out.append("    pub const ALL: &[Operation] = &[" + ", ".join(f"Self::{op}" for _, op in every) + "];\n")
    out.append("    /// The operation's entry in the service model.")
    out.append("    pub fn model(self) -> &'static OperationModel {\n        match self {")
    out += [f"            Self::{op} => &models::{snake(op).upper()}," for _, op in every]
    out.append("        }\n    }\n}\n")
    operations = "\n".join(out)

    out = [
        "//! The decoded input of any operation.\n" + HEADER,
        "use serde::Deserialize;\nuse serde_json::Value;\n",
        "use super::operations::Operation;\nuse super::{" + ", ".join(s.module for s in services) + "};\n",
        "/// The decoded input of any operation.",
        "#[derive(Clone, Debug)]\n#[allow(clippy::large_enum_variant)]\npub enum Input {",
    ]
    for service, op in every:
        out.append(f"    /// Input of {op}.\n    {op}({input_type(service, op)}),")
    out.append("}\n\nimpl Input {")
    out.append("    /// The operation this is the input of.")
    out.append("    pub fn operation(&self) -> Operation {\n        match self {")
    out += [f"            Self::{op}(_) => Operation::{op}," for _, op in every]
    out.append("        }\n    }\n")
    out.append("    /// Types a value that has passed validation.")
    out.append("    pub(crate) fn typed(operation: Operation, value: Value) -> Result<Self, serde_json::Error> {")
    out.append("        Ok(match operation {")
    out += [f"            Operation::{op} => Self::{op}(Deserialize::deserialize(value)?)," for _, op in every]
    out.append("        })\n    }\n}\n")
    inputs = "\n".join(out)

    out = [
        "//! The service models' entry for each operation: errors, input shape, whether it only reads.\n" + HEADER,
        "use super::{errors, " + ", ".join(s.module for s in services) + "};",
        "use crate::operation::{OperationModel, Service};\n",
    ]
    for service, op in every:
        variant = {"cloudtrail": "CloudTrail", "cloudtrail-data": "CloudTrailData"}[service.model_name]
        listed = dict.fromkeys(e["shape"] for e in service.model["operations"][op].get("errors", []))
        names = ", ".join(f"errors::{snake(e).upper()}" for e in listed)
        constraint = f"{service.module}::constraints::{service.static_name(service.shape_of(op, 'input'))}"
        out.append(
            f"pub(super) static {snake(op).upper()}: OperationModel = OperationModel {{ name: \"{op}\", "
            f"service: Service::{variant}, read_only: {str(op.startswith(READ_ONLY)).lower()}, "
            f"errors: &[{names}], input: &{constraint} }};\n"
        )
    return {"operations.rs": operations, "input.rs": inputs, "models.rs": "\n".join(out)}


def errors_file(services):
    errors = {}
    for service in services:
        for op in service.operations:
            for listed in service.model["operations"][op].get("errors", []):
                trait = service.shapes[listed["shape"]].get("error", {})
                entry = (listed["shape"], trait.get("httpStatusCode", 400), trait.get("code"))
                if errors.setdefault(listed["shape"], entry) != entry:
                    sys.exit(f"error {listed['shape']} differs between services")
    out = ["//! Every error the service models name.\n" + HEADER, "use crate::operation::ModelledError;\n"]
    for name, status, query in sorted(errors.values()):
        query = f'Some("{query}")' if query else "None"
        out.append(f"/// `{name}`, HTTP status {status}.")
        out.append(
            f"pub const {snake(name).upper()}: ModelledError = "
            f'ModelledError {{ code: "{name}", status: {status}, query_code: {query} }};\n'
        )
    return "\n".join(out)
