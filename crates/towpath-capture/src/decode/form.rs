//! Forms: the query protocol and EC2's variant of it.
//!
//! Names are paths: `Tags.member.1.Key`, `Attributes.entry.2.value`, in EC2 `Filter.1.Value.2`. The fields are put into
//! a tree first and the model then says what its nodes are. Lists and maps are recognised by their numbers, so a client
//! that leaves out `member`, or writes it where the model has it flattened, is understood as well.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    DecodeError,
    gather::{self, Gather, Members},
    limits, scalar,
};
use crate::{
    Value,
    model::{Element, Kind, Member, Structure},
};

/// Which of the two forms a request is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Query,
    Ec2,
}

/// Reads the fields of a form (and of the URL, for a `GET`) as a structure.
///
/// # Errors
/// More fields or deeper names than there may be.
pub(super) fn form<'f>(
    gather: &Gather<'_>,
    structure: &Structure,
    dialect: Dialect,
    fields: impl Iterator<Item = (std::borrow::Cow<'f, str>, std::borrow::Cow<'f, str>)>,
) -> Result<Value, DecodeError> {
    let mut root = Node::default();
    let mut left = limits::PARTS;
    for (at, (name, value)) in fields.enumerate() {
        if at >= limits::FIELDS {
            return Err(DecodeError::Bound("the number of a form's fields"));
        }
        root.insert(&name, value.into_owned(), &mut left)?;
    }
    Reader { gather, dialect }.structure(structure, &root, 0)
}

/// A part of a field's name, with what follows it.
#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, name: &str, value: String, left: &mut usize) -> Result<(), DecodeError> {
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if depth > limits::DEPTH {
                return Err(DecodeError::Bound("the depth of values"));
            }
            node = match node.children.entry(part.to_owned()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => {
                    *left = left.checked_sub(1).ok_or(DecodeError::Bound("the number of a form's parts"))?;
                    vacant.insert(Self::default())
                }
            };
        }
        node.value = Some(value);
        Ok(())
    }

    fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name)
    }

    /// The children with numbers, in their order.
    fn numbered(&self) -> Vec<&Self> {
        let mut numbered: Vec<(u64, &Self)> =
            self.children.iter().filter_map(|(name, node)| Some((name.parse().ok()?, node))).collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, node)| node).collect()
    }

    /// The entries of a list or map: numbered here, or under a name.
    fn entries(&self, names: &[&str]) -> Vec<&Self> {
        let here = self.numbered();
        if !here.is_empty() {
            return here;
        }
        let named = names.iter().filter_map(|name| self.child(name)).map(Self::numbered);
        named.into_iter().find(|entries| !entries.is_empty()).unwrap_or_default()
    }
}

struct Reader<'g, 'm> {
    gather: &'g Gather<'m>,
    dialect: Dialect,
}

impl Reader<'_, '_> {
    fn structure(&self, structure: &Structure, node: &Node, depth: usize) -> Result<Value, DecodeError> {
        let mut members = Members::default();
        for (at, member) in structure.members.iter().enumerate() {
            let Some(child) = self.child_of(node, member) else { continue };
            if let Some(value) = self.value(member, child, depth + 1)? {
                members.set(at, member, value);
            }
        }
        Ok(members.into_value())
    }

    fn child_of<'n>(&self, node: &'n Node, member: &Member) -> Option<&'n Node> {
        if self.dialect == Dialect::Ec2 {
            let name = match &member.query_name {
                Some(name) => name.to_string(),
                None => capital(&member.wire),
            };
            return node.child(&name).or_else(|| node.child(&member.name));
        }
        // The elements of a flattened list have the name of the element, where it has one, in place of the list's.
        let element = match &self.gather.shape(member.shape).kind {
            Kind::List { element } if member.flattened => element.wire.as_deref(),
            _ => None,
        };
        element
            .and_then(|name| node.child(name))
            .or_else(|| node.child(&member.wire))
            .or_else(|| node.child(&member.name))
    }

    fn value(&self, member: &Member, node: &Node, depth: usize) -> Result<Option<Value>, DecodeError> {
        self.of_kind(&self.gather.shape(member.shape).kind, node, depth)
    }

    fn element(&self, element: &Element, node: &Node, depth: usize) -> Result<Option<Value>, DecodeError> {
        self.of_kind(&self.gather.shape(element.shape).kind, node, depth)
    }

    fn of_kind(&self, kind: &Kind, node: &Node, depth: usize) -> Result<Option<Value>, DecodeError> {
        self.gather.count(depth)?;
        match kind {
            Kind::Structure(structure) => self.structure(structure, node, depth).map(Some),
            Kind::List { element } => {
                let entries = node.entries(&[element.wire.as_deref().unwrap_or("member"), "member", "item"]);
                let mut values = Vec::with_capacity(entries.len());
                for entry in entries {
                    values.push(self.element(element, entry, depth + 1)?.unwrap_or(Value::Null));
                }
                Ok(Some(Value::List(values)))
            }
            Kind::Map { key, value } => {
                let mut read = Vec::new();
                for entry in node.entries(&["entry"]) {
                    let of = |element: &Element, usual: &str, older: &str| {
                        let named = element.wire.as_deref().and_then(|name| entry.child(name));
                        named.or_else(|| entry.child(usual)).or_else(|| entry.child(older))
                    };
                    let Some(name) = of(key, "key", "Name").and_then(|node| node.value.clone()) else { continue };
                    let value = match of(value, "value", "Value") {
                        Some(node) => self.element(value, node, depth + 1)?.unwrap_or(Value::Null),
                        None => Value::Null,
                    };
                    read.push((name, value));
                }
                Ok(Some(gather::map(read)))
            }
            kind => Ok(node.value.as_deref().and_then(|text| scalar::value(kind, text))),
        }
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
