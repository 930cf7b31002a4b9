//! Service models: which operations a service has, what they take and give, and how that looks on the wire.
//!
//! Models are read at run time, never compiled in: [`Models`] opens a folder laid out like botocore's `data`, or one with
//! Smithy JSON ASTs. Opening reads only what is needed to tell services apart ([`ServiceSummary`]); the full
//! [`ServiceModel`] of a service is parsed when its first call arrives and then kept.
//!
//! A model is somebody else's file. A shape that holds itself is welcome; a reference to a shape that is not there, or is
//! of a type that nobody knows, is no reason to stop recording: it becomes [`Kind::Unknown`], whose values are left
//! out. Only a file that is no model at all is an error.

mod botocore;
mod build;
mod choices;
mod error;
mod folder;
mod hint;
mod operation;
mod ordered;
mod shape;
mod smithy;
mod uri;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

pub use error::ModelError;
pub use folder::Models;
pub use hint::ServiceHint;
pub use operation::OperationModel;
pub use shape::{Element, ErrorTrait, Kind, Member, Place, Shape, ShapeId, Structure, TimeFormat};
pub use uri::{Literal, Segment, UriTemplate};

use crate::decode::Routes;

/// How requests and answers of a service are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// AWS JSON 1.0 and 1.1: `POST /`, the operation in `X-Amz-Target`.
    Json,
    /// REST with JSON bodies.
    RestJson,
    /// REST with XML bodies.
    RestXml,
    /// Form bodies with an `Action`, answers in XML.
    Query,
    /// Amazon EC2's form of [`Protocol::Query`].
    Ec2,
    /// Smithy RPC v2 with CBOR bodies.
    Cbor,
}

impl Protocol {
    /// True if method and path tell the operation.
    pub const fn is_rest(self) -> bool {
        matches!(self, Self::RestJson | Self::RestXml)
    }
}

/// What tells a service from the others, known without its full model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSummary {
    /// The name it is filed under: botocore's folder (`marketplace-catalog`), or the name of a Smithy service shape.
    pub name: Arc<str>,
    /// Such as `Marketplace Catalog`.
    pub service_id: Arc<str>,
    /// Such as `2018-09-17`.
    pub api_version: Arc<str>,
    /// The first labels of its host names: `catalog.marketplace`.
    pub endpoint_prefix: Arc<str>,
    /// The service in a signature's scope: `aws-marketplace`. Several services may share one.
    pub signing_name: Arc<str>,
    /// What `X-Amz-Target` begins with, and the service in the paths of RPC v2.
    pub target_prefix: Option<Arc<str>>,
    /// A host without region, such as `iam.amazonaws.com`.
    pub global_host: Option<Arc<str>>,
    /// What it speaks, its favourite first.
    pub protocols: Vec<Protocol>,
    /// True if errors also carry the code they had when the service spoke [`Protocol::Query`].
    pub query_compatible: bool,
}

/// A service: its operations and their shapes.
#[derive(Debug)]
pub struct ServiceModel {
    summary: ServiceSummary,
    operations: Box<[OperationModel]>,
    by_name: HashMap<Arc<str>, u32>,
    shapes: Box<[Shape]>,
    routes: Routes,
}

impl ServiceModel {
    fn new(summary: ServiceSummary, operations: Vec<OperationModel>, shapes: Vec<Shape>) -> Self {
        let by_name = (0..).zip(&operations).map(|(at, operation)| (Arc::clone(&operation.name), at)).collect();
        let routes = Routes::of(&operations, &shapes);
        Self { summary, operations: operations.into(), by_name, shapes: shapes.into(), routes }
    }

    /// Reads a model in botocore's form (`service-2.json`), which will go by `name`.
    ///
    /// # Errors
    /// JSON that is no model.
    pub fn parse(name: &str, json: &[u8]) -> Result<Self, serde_json::Error> {
        botocore::parse(name, json)
    }

    /// What tells it from the others.
    pub fn summary(&self) -> &ServiceSummary {
        &self.summary
    }

    /// Its operations, in the order of the model.
    pub fn operations(&self) -> &[OperationModel] {
        &self.operations
    }

    /// The operation of this name, case as in the model.
    pub fn operation(&self, name: &str) -> Option<&OperationModel> {
        self.position_of(name).map(|at| &self.operations[at as usize])
    }

    /// A shape. Ids of another model give some other shape or [`Kind::Unknown`], never a panic.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        self.shapes.get(id.0 as usize).unwrap_or(&shape::UNKNOWN)
    }

    /// The members of a structure; none if the shape is something else.
    pub fn members(&self, id: ShapeId) -> &[Member] {
        match &self.shape(id).kind {
            Kind::Structure(structure) => &structure.members,
            _ => &[],
        }
    }

    /// The structure that an operation takes; `None` if it takes nothing.
    pub fn input(&self, operation: &OperationModel) -> Option<&Structure> {
        operation.input.and_then(|id| self.structure(id))
    }

    /// The structure that an operation gives; `None` if it gives nothing.
    pub fn output(&self, operation: &OperationModel) -> Option<&Structure> {
        operation.output.and_then(|id| self.structure(id))
    }

    pub(crate) fn structure(&self, id: ShapeId) -> Option<&Structure> {
        match &self.shape(id).kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }

    pub(crate) fn position_of(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn operation_at(&self, at: u32) -> &OperationModel {
        &self.operations[at as usize]
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }
}
