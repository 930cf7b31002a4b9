//! Trails: one file per story.

mod aggregation;
mod create;
pub(crate) mod destination;
mod event_selectors;
mod life;
mod list;
mod name;
mod organization;
mod outside;
mod public_keys;
mod shown;
mod status;
mod update;

pub(crate) use aggregation::{get_configuration, put_configuration};
pub(crate) use create::create;
pub(crate) use event_selectors::{get_event_selectors, put_event_selectors};
pub(crate) use life::{delete, start_logging, stop_logging};
pub(crate) use list::{describe, get, list};
pub(crate) use name::NamedTrail;
pub(crate) use organization::{owner_of_new_store, refuse_organization, usable};
pub(crate) use public_keys::list_public_keys;
pub(crate) use status::status;
pub(crate) use update::update;

/// How records of calls name a trail's type.
pub(crate) const KIND: &str = "AWS::CloudTrail::Trail";
