//! Calls that bring events: PutAuditEvents and PutRecords. The record of the call and the events it brought are one append,
//! durable together.

use serde_json::value::RawValue;
use towpath_admit::{ApiSource, Parameters, Plane};
use towpath_wire::data::PutAuditEventsRequest;
use towpath_wire::{ApiError, Input, Route};

use super::{HttpRequest, Service};
use crate::audit::Call;
use crate::caller::Caller;
use crate::operations::{Context, admin, json, put_audit_events};

impl Service {
    /// Answers PutAuditEvents.
    pub(super) async fn put_audit_events(
        &self,
        caller: &Caller,
        route: Route,
        request: &HttpRequest,
    ) -> Result<Box<RawValue>, ApiError> {
        let context = Context::new(caller, &self.parts, &self.records);
        let decoded = match route.decode(&request.body) {
            Some(Ok(Input::PutAuditEvents(input))) => Ok(input),
            Some(Err(error)) => Err(ApiError::from(error)),
            _ => Err(ApiError::internal()),
        };
        let input = match &decoded {
            Ok(input) => input,
            Err(error) => {
                let call = put_audit_events_call(None);
                let events = self.events(&context, call, Err(error), &[]);
                self.records.append(events).await?;
                return Err(error.clone());
            }
        };
        let outcome = match self.admitted(caller, "PutAuditEvents") {
            Ok(()) => put_audit_events::admit(&context, input, request.body.len()).await,
            Err(error) => Err(error),
        };
        let call = put_audit_events_call(Some(input));
        let recorded = outcome.as_ref().map(put_audit_events::recorded);
        let mut events = self.events(&context, call, recorded, &context.take_touched());
        match outcome {
            Ok(mut admitted) => {
                // One append: the record of the call and the events it stored are durable together.
                events.append(&mut admitted.events);
                self.records.append(events).await?;
                admitted.note(&context);
                json(Ok(admitted.answer))
            }
            Err(error) => {
                self.records.append(events).await?;
                Err(error)
            }
        }
    }

    /// PutRecords is a data event of the accounts that it wrote for, as PutAuditEvents is one of its channel; refused as a
    /// whole it is a management event of the caller's.
    pub(super) async fn put_records(&self, caller: &Caller, request: &HttpRequest) -> Result<Box<RawValue>, ApiError> {
        let context = Context::new(caller, &self.parts, &self.records);
        let outcome = match self.admitted(caller, "PutRecords") {
            Ok(()) => admin::put_records::admit(&context, &request.body).await,
            Err(error) => Err(error),
        };
        let call = Call {
            source: ApiSource::Towpath,
            name: "PutRecords".to_owned(),
            read_only: false,
            plane: if outcome.is_ok() { Plane::Data } else { Plane::Management },
            request: admin::put_records::parameters(&request.body),
        };
        let recorded = outcome.as_ref().map(|(output, _)| admin::put_records::recorded(output));
        let mut events = self.events(&context, call, recorded, &context.take_touched());
        match outcome {
            Ok((output, mut admitted)) => {
                // One append: the record of the call and the records it brought are durable together.
                events.append(&mut admitted.events);
                self.records.append(events).await?;
                json(Ok(output))
            }
            Err(error) => {
                self.records.append(events).await?;
                Err(error)
            }
        }
    }
}

fn put_audit_events_call(input: Option<&PutAuditEventsRequest>) -> Call {
    Call {
        source: ApiSource::CloudTrailData,
        name: "PutAuditEvents".to_owned(),
        read_only: false,
        plane: Plane::Data,
        request: input.map_or_else(Parameters::none, put_audit_events::parameters),
    }
}
