//! Putting a model together from a file: names are kept once, references are resolved, and what a shape says of the wire
//! is handed down to the members that refer to it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Kind, Place, Shape, ShapeId, TimeFormat};

/// How deep lists and maps are looked into for sensitive elements.
const SENSITIVE_DEPTH: usize = 8;

/// Shapes on their way to a model.
#[derive(Default)]
pub(super) struct Builder {
    names: HashSet<Arc<str>>,
    ids: HashMap<Arc<str>, ShapeId>,
    shapes: Vec<Option<(Shape, Inherited)>>,
}

/// What members have from their shape, unless they say it themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Inherited {
    pub(super) wire: Option<Arc<str>>,
    pub(super) time_format: Option<TimeFormat>,
    pub(super) flattened: bool,
    pub(super) streaming: bool,
}

impl Builder {
    /// The one copy of a name.
    pub(super) fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = Arc::from(text);
        self.names.insert(Arc::clone(&name));
        name
    }

    /// The place of a shape, which may be defined later, or never.
    pub(super) fn id(&mut self, shape: &str) -> ShapeId {
        if let Some(id) = self.ids.get(shape) {
            return *id;
        }
        let id = ShapeId(u32::try_from(self.shapes.len()).unwrap_or(u32::MAX));
        let name = self.name(shape);
        self.ids.insert(name, id);
        self.shapes.push(None);
        id
    }

    /// Defines a shape.
    pub(super) fn define(&mut self, id: ShapeId, shape: Shape, inherited: Inherited) {
        if let Some(place) = self.shapes.get_mut(id.0 as usize) {
            *place = Some((shape, inherited));
        }
    }

    /// The shapes, complete.
    pub(super) fn finish(self) -> Vec<Shape> {
        let mut names: Vec<Arc<str>> = vec![Arc::from(""); self.shapes.len()];
        for (name, id) in self.ids {
            names[id.0 as usize] = name;
        }
        let (mut shapes, inherited): (Vec<Shape>, Vec<Inherited>) = self
            .shapes
            .into_iter()
            .zip(names)
            .map(|(defined, name)| {
                defined.unwrap_or_else(|| (Shape { name, kind: Kind::Unknown, sensitive: false }, Inherited::default()))
            })
            .unzip();
        let sensitive: Vec<bool> = (0..shapes.len()).map(|at| is_sensitive(&shapes, at, SENSITIVE_DEPTH)).collect();
        for shape in &mut shapes {
            match &mut shape.kind {
                Kind::Structure(structure) => {
                    for member in &mut structure.members {
                        let at = member.shape.0 as usize;
                        let from = &inherited[at];
                        if let (true, Some(wire)) = (member.wire.is_empty(), &from.wire) {
                            member.wire = Arc::clone(wire);
                        }
                        // A prefix of headers may well be empty: then it is every header.
                        if member.wire.is_empty() && member.place != Place::Headers {
                            member.wire = Arc::clone(&member.name);
                        }
                        member.time_format = member.time_format.or(from.time_format);
                        member.flattened |= from.flattened;
                        member.streaming |= from.streaming;
                        member.sensitive |= sensitive[at];
                    }
                }
                Kind::List { element } => {
                    element.wire = element.wire.take().or_else(|| inherited[element.shape.0 as usize].wire.clone());
                }
                Kind::Map { key, value } => {
                    for element in [key, value] {
                        element.wire = element.wire.take().or_else(|| inherited[element.shape.0 as usize].wire.clone());
                    }
                }
                _ => (),
            }
        }
        shapes
    }
}

fn is_sensitive(shapes: &[Shape], at: usize, depth: usize) -> bool {
    let shape = &shapes[at];
    if shape.sensitive || depth == 0 {
        return shape.sensitive;
    }
    match &shape.kind {
        Kind::List { element } => is_sensitive(shapes, element.shape.0 as usize, depth - 1),
        Kind::Map { key, value } => {
            is_sensitive(shapes, key.shape.0 as usize, depth - 1)
                || is_sensitive(shapes, value.shape.0 as usize, depth - 1)
        }
        _ => false,
    }
}
