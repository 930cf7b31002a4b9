//! Which operation of a REST service a request is: method and path, and where several have the same, what is in the
//! query string and the headers.
//!
//! Of all operations that a request could be, the closest is taken:
//! 1. the path says more (`/spaces/all` before `/spaces/{id}` before `/{path+}`),
//! 2. more of the query string is demanded and there (`?acl`, `?list-type=2`),
//! 3. nothing that it requires in query string or headers is missing (`UploadPart` has `partNumber`),
//! 4. it requires more (`CopyObject`, whose `x-amz-copy-source` is there, before `PutObject`),
//! 5. `x-id` names it, which some SDKs add but services do not look at,
//! 6. it is not deprecated, and is the first in the model.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::rest::Query;
use crate::model::{Kind, Literal, OperationModel, Place, Segment, Shape};

/// The name of the query parameter in which SDKs name the operation.
const X_ID: &str = "x-id";

/// The operations of a service as routes.
#[derive(Debug)]
pub(crate) struct Routes(Box<[Route]>);

#[derive(Debug)]
struct Route {
    /// For each part of the path how much it says.
    path: Box<[u8]>,
    /// Members of query string and headers that must be there.
    needs: Box<[(Place, Arc<str>)]>,
}

/// How close an operation is to a request. Larger is closer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closeness {
    path: Box<[u8]>,
    literals: usize,
    same_end: bool,
    satisfied: bool,
    needs: usize,
    named: bool,
    current: bool,
}

/// The operation that a request is, with its labels as they were sent.
pub(super) struct Routed<'p> {
    pub(super) operation: u32,
    pub(super) labels: Vec<&'p str>,
    pub(super) closeness: Closeness,
}

impl Routes {
    /// The routes of operations, in their order.
    pub(crate) fn of(operations: &[OperationModel], shapes: &[Shape]) -> Self {
        let route = |operation: &OperationModel| Route {
            path: operation.uri.segments.iter().map(weight).collect(),
            needs: operation.input.map(|input| needs(&shapes[input.0 as usize])).unwrap_or_default(),
        };
        Self(operations.iter().map(route).collect())
    }

    /// The operation closest to a request.
    pub(super) fn find<'p>(
        &self,
        operations: &[OperationModel],
        method: &Method,
        path: &'p str,
        query: &Query<'_>,
        headers: &HeaderMap,
    ) -> Option<Routed<'p>> {
        let mut best: Option<Routed<'p>> = None;
        for ((at, operation), route) in (0..).zip(operations).zip(&self.0) {
            if operation.method != *method {
                continue;
            }
            let Some(labels) = operation.uri.labels_in(path) else { continue };
            let Some(literals) = literals(operation, query) else { continue };
            let satisfied = route.needs.iter().all(|(place, name)| match place {
                Place::Query => query.has(name),
                _ => headers.contains_key(&**name),
            });
            let closeness = Closeness {
                path: route.path.clone(),
                literals,
                same_end: operation.uri.trailing_slash == path.ends_with('/'),
                satisfied,
                needs: route.needs.len(),
                named: query.first(X_ID).is_some_and(|id| *id == *operation.name),
                current: !operation.deprecated,
            };
            if best.as_ref().is_none_or(|best| closeness > best.closeness) {
                best = Some(Routed { operation: at, labels, closeness });
            }
        }
        best
    }
}

fn weight(segment: &Segment) -> u8 {
    match segment {
        Segment::Literal(_) => 3,
        Segment::Label(_) => 2,
        Segment::Greedy(_) => 1,
    }
}

fn needs(shape: &Shape) -> Box<[(Place, Arc<str>)]> {
    let Kind::Structure(structure) = &shape.kind else { return Box::default() };
    structure
        .members
        .iter()
        .filter(|member| member.required && matches!(member.place, Place::Query | Place::Header))
        .map(|member| (member.place, Arc::clone(&member.wire)))
        .collect()
}

/// How many parts of the query string a template demands; `None` if one of them is not there.
fn literals(operation: &OperationModel, query: &Query<'_>) -> Option<usize> {
    let mut demanded = 0;
    for Literal { name, value } in &operation.uri.literals {
        if &**name == X_ID {
            continue;
        }
        let there = match value {
            Some(value) => query.all(name).any(|given| given == &**value),
            None => query.has(name),
        };
        if !there {
            return None;
        }
        demanded += 1;
    }
    Some(demanded)
}
