//! Advanced event selectors between the wire and the model.

use towpath_model::selector_rules::SelectorError;
use towpath_model::{AdvancedEventSelector, AdvancedFieldSelector};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use crate::refusal::refuse;

pub(super) fn from_wire(selectors: Vec<wire::AdvancedEventSelector>) -> Vec<AdvancedEventSelector> {
    let field = |field: wire::AdvancedFieldSelector| AdvancedFieldSelector {
        field: field.field,
        equals: field.equals.unwrap_or_default(),
        starts_with: field.starts_with.unwrap_or_default(),
        ends_with: field.ends_with.unwrap_or_default(),
        not_equals: field.not_equals.unwrap_or_default(),
        not_starts_with: field.not_starts_with.unwrap_or_default(),
        not_ends_with: field.not_ends_with.unwrap_or_default(),
    };
    selectors
        .into_iter()
        .map(|selector| AdvancedEventSelector {
            name: selector.name,
            field_selectors: selector.field_selectors.into_iter().map(field).collect(),
        })
        .collect()
}

pub(super) fn to_wire(selectors: &[AdvancedEventSelector]) -> Vec<wire::AdvancedEventSelector> {
    let some = |values: &[String]| (!values.is_empty()).then(|| values.to_vec());
    let field = |field: &AdvancedFieldSelector| wire::AdvancedFieldSelector {
        field: field.field.clone(),
        equals: some(&field.equals),
        starts_with: some(&field.starts_with),
        ends_with: some(&field.ends_with),
        not_equals: some(&field.not_equals),
        not_starts_with: some(&field.not_starts_with),
        not_ends_with: some(&field.not_ends_with),
    };
    selectors
        .iter()
        .map(|selector| wire::AdvancedEventSelector {
            name: selector.name.clone(),
            field_selectors: selector.field_selectors.iter().map(field).collect(),
        })
        .collect()
}

/// `InvalidEventSelectorsException` with the rule that was broken.
pub(super) fn refused(error: SelectorError) -> ApiError {
    refuse(errors::INVALID_EVENT_SELECTORS_EXCEPTION, error.to_string())
}
