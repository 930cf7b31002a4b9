//! Records of captured calls: what was decoded, in the form that delivered records have.

mod additional;
mod ec2;
mod failure;
mod printer;
mod request_id;
mod s3;
mod secrets;
mod times;
mod xml;

pub(crate) use additional::additional;
pub(crate) use ec2::{request as ec2_request, response as ec2_response};
pub(crate) use failure::{Failure, status_words};
pub(crate) use printer::{Printed, Printer};
pub(crate) use request_id::request_id;
pub(crate) use s3::{DELETE_OBJECTS, request as s3_request, response as s3_response};
pub(crate) use secrets::Secrets;
pub(crate) use xml::read as read_xml;
