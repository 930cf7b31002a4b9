"""A service model and where its shapes go."""

import sys

import botocore.loaders

from service_model.groups import GROUPS
from service_model.rust import snake

# Names the model uses that say too little.
TYPE_NAMES = {"Type": "ContextKeyType"}

SCALARS = {
    "string": "String",
    "integer": "i32",
    "long": "i64",
    "float": "f64",
    "double": "f64",
    "boolean": "bool",
    "timestamp": "Timestamp",
    "blob": "Blob",
}


class Service:
    """One service model and the Rust module that mirrors it."""

    def __init__(self, model_name, version, module):
        loader = botocore.loaders.Loader()
        self.model = loader.load_service_model(model_name, "service-2", version)
        self.module = module
        self.model_name = model_name
        self.version = version
        self.shapes = self.model["shapes"]
        self.operations = sorted(self.model["operations"])
        self.group_of_operation = {op: g for g, ops in GROUPS.items() for op in ops.split()}
        missing = [op for op in self.operations if op not in self.group_of_operation]
        if missing:
            sys.exit(f"operations without a group in GROUPS: {missing}")
        self.inputs, self.outputs, self.home = set(), set(), {}
        self.place_shapes()

    def shape_of(self, operation, side):
        return self.model["operations"][operation][side]["shape"]

    def walk(self, name, seen):
        if name in seen:
            return
        seen.add(name)
        shape = self.shapes[name]
        for member in shape.get("members", {}).values():
            self.walk(member["shape"], seen)
        for part in ("member", "key", "value"):
            if part in shape:
                self.walk(shape[part]["shape"], seen)

    def place_shapes(self):
        groups = {}
        for operation in self.operations:
            for side, used in (("input", self.inputs), ("output", self.outputs)):
                seen = set()
                self.walk(self.shape_of(operation, side), seen)
                used |= seen
                for name in seen:
                    groups.setdefault(name, set()).add(self.group_of_operation[operation])
        self.constraint_home = {n: where.copy().pop() if len(where) == 1 else "shared" for n, where in groups.items()}
        for name, where in groups.items():
            if self.shapes[name]["type"] == "structure":
                self.home[name] = where.pop() if len(where) == 1 else "shapes"
            elif "enum" in self.shapes[name]:
                self.home[name] = "enums"

    def type_name(self, name):
        return TYPE_NAMES.get(name, name)

    def rust_type(self, name):
        shape = self.shapes[name]
        kind = shape["type"]
        if kind == "structure" or "enum" in shape:
            return self.type_name(name)
        if kind == "list":
            return f"Vec<{self.rust_type(shape['member']['shape'])}>"
        if kind == "map":
            key, value = shape["key"]["shape"], shape["value"]["shape"]
            return f"BTreeMap<{self.rust_type(key)}, {self.rust_type(value)}>"
        return SCALARS[kind]

    def has_default(self, name, seen=()):
        shape = self.shapes[name]
        if "enum" in shape:
            return False
        if shape["type"] == "timestamp":
            return False
        if shape["type"] != "structure" or name in seen:
            return True
        return all(self.has_default(shape["members"][m]["shape"], seen + (name,)) for m in shape.get("required", []))

    def has_float(self, name, seen=()):
        if name in seen:
            return False
        shape = self.shapes[name]
        parts = [m["shape"] for m in shape.get("members", {}).values()]
        parts += [shape[p]["shape"] for p in ("member", "key", "value") if p in shape]
        return shape["type"] in ("float", "double") or any(self.has_float(p, seen + (name,)) for p in parts)

    def static_name(self, name):
        return snake(name).upper()
