//! Gathering values: bounds that all formats share, and members put in the order of the model.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::Arc,
};

use smallvec::SmallVec;

use super::{DecodeError, limits};
use crate::{
    Field, Value,
    model::{Member, Place, ServiceModel, Shape, ShapeId, Structure},
};

/// What decoders of all formats have with them.
pub(super) struct Gather<'m> {
    model: &'m ServiceModel,
    left: Cell<usize>,
    /// Why decoding stopped, where a format's own error cannot say it.
    fault: RefCell<Option<DecodeError>>,
}

/// The members of a structure that came so far.
#[derive(Default)]
pub(super) struct Members {
    fields: Vec<Field>,
    /// Their places in the model.
    places: SmallVec<[usize; 16]>,
}

impl<'m> Gather<'m> {
    pub(super) fn new(model: &'m ServiceModel) -> Self {
        Self { model, left: Cell::new(limits::VALUES), fault: RefCell::new(None) }
    }

    pub(super) fn shape(&self, id: ShapeId) -> &'m Shape {
        self.model.shape(id)
    }

    /// Counts a value at a depth.
    pub(super) fn count(&self, depth: usize) -> Result<(), DecodeError> {
        if depth > limits::DEPTH {
            return Err(DecodeError::Bound("the depth of values"));
        }
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(DecodeError::Bound("the number of values")),
        }
    }

    /// Keeps a fault that a foreign error type will stand for.
    pub(super) fn fail(&self, fault: DecodeError) {
        self.fault.borrow_mut().get_or_insert(fault);
    }

    pub(super) fn take_fault(&self) -> Option<DecodeError> {
        self.fault.borrow_mut().take()
    }
}

impl Members {
    /// Sets a member. A value that came before is forgotten.
    pub(super) fn set(&mut self, at: usize, member: &Member, value: Value) {
        let field = Field { name: Arc::clone(&member.name), value, sensitive: member.sensitive };
        self.put(at, field);
    }

    fn put(&mut self, at: usize, field: Field) {
        self.places.push(at);
        self.fields.push(field);
    }

    /// Sets members that were read as a structure of their own.
    pub(super) fn add(&mut self, structure: &Structure, fields: Vec<Field>) {
        let mut next = 0;
        for field in fields {
            let at = (next..structure.members.len()).find(|at| structure.members[*at].name == field.name);
            if let Some(at) = at {
                next = at + 1;
                self.put(at, field);
            }
        }
    }

    /// True if a member was set.
    pub(super) fn has(&self, at: usize) -> bool {
        self.places.contains(&at)
    }

    /// The structure, in the order of the model.
    pub(super) fn into_value(self) -> Value {
        // Mostly they came in it.
        if self.places.is_sorted_by(|before, after| before < after) {
            return Value::Structure(self.fields);
        }
        // Of members that came twice the last one: it is first after reversing, and the sort is stable.
        let mut placed: Vec<(usize, Field)> = self.places.into_iter().zip(self.fields).rev().collect();
        placed.sort_by_key(|(at, _)| *at);
        placed.dedup_by_key(|(at, _)| *at);
        Value::Structure(placed.into_iter().map(|(_, field)| field).collect())
    }
}

/// Which members of the outermost structure a body may set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All of them.
    All,
    /// Those that do not stand in the URI or in headers.
    OfBody,
}

/// The place of the member that a key names, looked for first from `next` on: members mostly arrive in order.
///
/// Some protocols write the wire's name, some the model's. No structure has one name for two members.
pub(super) fn member_of(structure: &Structure, key: &str, which: Which, next: usize) -> Option<usize> {
    let members = &structure.members;
    let settable = |member: &Member| !member.streaming && (which == Which::All || member.place == Place::Body);
    let by = |named: fn(&Member) -> &str| {
        let from = next.min(members.len());
        let is = |at: &usize| named(&members[*at]) == key && settable(&members[*at]);
        (from..members.len()).chain(0..from).find(is)
    };
    by(|member| &member.wire).or_else(|| by(|member| &member.name))
}

/// A map of which keys that came twice have their last value.
pub(super) fn map(mut entries: Vec<(String, Value)>) -> Value {
    let keys: HashSet<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    if keys.len() < entries.len() {
        let mut seen = HashSet::new();
        entries.reverse();
        entries.retain(|(key, _)| seen.insert(key.clone()));
        entries.reverse();
    }
    Value::Map(entries)
}
