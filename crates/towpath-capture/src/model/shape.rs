//! Shapes: the types of a service, with what their traits say about the wire.

use std::sync::{Arc, LazyLock};

/// The place of a shape in its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(pub(crate) u32);

/// A type of a service.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name in the model, such as `TagList`.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// True if the model marks it as sensitive.
    pub sensitive: bool,
}

/// What a shape is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Members with names.
    Structure(Structure),
    /// Elements of one shape.
    List {
        /// The elements; on the wire `member` unless the model says otherwise.
        element: Element,
    },
    /// Texts to values of one shape.
    Map {
        /// The keys; on the wire `key` unless the model says otherwise.
        key: Element,
        /// The values; on the wire `value` unless the model says otherwise.
        value: Element,
    },
    /// Text, enumerations among it.
    Text,
    /// A whole number of any size.
    Integer,
    /// A number with a fraction.
    Float,
    /// True or false.
    Bool,
    /// A moment.
    Time,
    /// Bytes.
    Blob,
    /// JSON without a model.
    Document,
    /// Something that the model does not explain. Its values are left out.
    Unknown,
}

/// Members with names, in the order of the model.
#[derive(Clone, Debug, Default)]
pub struct Structure {
    /// The members.
    pub members: Box<[Member]>,
    /// Which of them is the whole body, in REST protocols.
    pub payload: Option<usize>,
    /// True if one member at most is set.
    pub union: bool,
    /// True if it is a stream of events, each of them one of the members.
    pub event_stream: bool,
    /// Set if it is an error.
    pub error: Option<ErrorTrait>,
}

impl Structure {
    /// The member of this name in the model.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| &*member.name == name)
    }

    /// The member that is the whole body.
    pub fn payload(&self) -> Option<&Member> {
        self.payload.and_then(|at| self.members.get(at))
    }
}

/// What a model says of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorTrait {
    /// Its code on the wire, if that is not the name of the shape.
    pub code: Option<Arc<str>>,
    /// The status that it comes with.
    pub status: Option<u16>,
}

/// A member of a structure.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name in the model, such as `SpaceId`.
    pub name: Arc<str>,
    /// Its name on the wire, the same unless the model says otherwise. For [`Place::Headers`] the prefix.
    pub wire: Arc<str>,
    /// Its name in requests of Amazon EC2, if that is not `wire` with a capital.
    pub query_name: Option<Arc<str>>,
    /// Its shape.
    pub shape: ShapeId,
    /// Where it stands.
    pub place: Place,
    /// How a moment is printed, if the model says.
    pub time_format: Option<TimeFormat>,
    /// True if a request without it is refused.
    pub required: bool,
    /// True if the member, its shape, or what a list or map holds, is marked as sensitive.
    pub sensitive: bool,
    /// True if a list or map has no element around its entries.
    pub flattened: bool,
    /// True if it is an attribute of its XML element.
    pub attribute: bool,
    /// True if it is a text that holds JSON; base64 in headers.
    pub json_value: bool,
    /// True if it is (also) a part of the host name.
    pub host_label: bool,
    /// True if a client makes it up where the caller does not set it.
    pub idempotency_token: bool,
    /// True if it is a stream, of bytes or of events. Streams are not decoded.
    pub streaming: bool,
}

/// Where a member stands in requests and answers of REST protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the body, or the whole of it.
    #[default]
    Body,
    /// In the path.
    Label,
    /// In the query string; a map takes every name that no other member has.
    Query,
    /// In a header.
    Header,
    /// A map in all headers that begin with a prefix.
    Headers,
    /// The status of the answer.
    Status,
}

/// How a moment is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeFormat {
    /// `2018-03-09T19:20:02.123Z`
    Iso8601,
    /// `Fri, 09 Mar 2018 19:20:02 GMT`
    Rfc822,
    /// Seconds since 1970, with or without a fraction.
    Unix,
}

/// What a list or map holds.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its shape.
    pub shape: ShapeId,
    /// Its name in XML and forms, if the model says.
    pub wire: Option<Arc<str>>,
}

/// Stands for every shape that is not there.
pub(super) static UNKNOWN: LazyLock<Shape> =
    LazyLock::new(|| Shape { name: Arc::from(""), kind: Kind::Unknown, sensitive: false });
