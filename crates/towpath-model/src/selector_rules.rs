//! What an advanced event selector of an event data store may say, and which kind of store a list of selectors makes.

use crate::{AdvancedEventSelector, AdvancedFieldSelector, Category, Quotas, StoreKind};

/// Why a list of selectors is refused; each becomes `InvalidEventSelectorsException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// More selectors than the quota allows.
    #[error("an event data store can have at most {0} advanced event selectors")]
    TooMany(usize),
    /// More values over all conditions than the quota allows.
    #[error("the advanced event selectors have {found} values; at most {limit} are allowed over all conditions")]
    TooManyValues {
        /// How many were given.
        found: usize,
        /// The quota.
        limit: usize,
    },
    /// A list without any selector.
    #[error("at least one advanced event selector is needed")]
    Empty,
    /// A selector without `eventCategory` Equals one value.
    #[error("selector {0} needs the field eventCategory with Equals and exactly one value")]
    NoCategory(usize),
    /// An `eventCategory` that no store takes.
    #[error("selector {selector}: eventCategory '{value}' is not known")]
    UnknownCategory {
        /// Number of the selector, from 1.
        selector: usize,
        /// The value given.
        value: String,
    },
    /// Categories of different kinds of store in one list.
    #[error("selectors of one event data store must be of one kind; '{0}' and '{1}' cannot be mixed")]
    Mixed(Category, Category),
    /// A field named twice in one selector.
    #[error("selector {selector}: field '{field}' is given more than once")]
    Repeated {
        /// Number of the selector, from 1.
        selector: usize,
        /// The field.
        field: String,
    },
    /// A field that the category does not allow.
    #[error("selector {selector}: field '{field}' is not allowed for eventCategory {category}")]
    Field {
        /// Number of the selector, from 1.
        selector: usize,
        /// The field.
        field: String,
        /// The selector's category.
        category: Category,
    },
    /// A field without any operator.
    #[error("selector {selector}: field '{field}' has no operator")]
    NoOperator {
        /// Number of the selector, from 1.
        selector: usize,
        /// The field.
        field: String,
    },
    /// An operator that the field does not allow.
    #[error("selector {selector}: field '{field}' does not allow the operator {operator}")]
    Operator {
        /// Number of the selector, from 1.
        selector: usize,
        /// The field.
        field: String,
        /// The operator.
        operator: &'static str,
    },
    /// A value that the field does not allow.
    #[error("selector {selector}: field '{field}' does not allow the value '{value}'")]
    Value {
        /// Number of the selector, from 1.
        selector: usize,
        /// The field.
        field: String,
        /// The value given.
        value: String,
    },
    /// A field that the category requires is missing.
    #[error("selector {selector}: eventCategory {category} needs the field '{field}'")]
    Missing {
        /// Number of the selector, from 1.
        selector: usize,
        /// The field.
        field: &'static str,
        /// The selector's category.
        category: Category,
    },
}

/// Checks the selectors of an event data store and tells its kind.
///
/// # Errors
/// The first rule that is broken, in the order of the list.
pub fn check_store_selectors(selectors: &[AdvancedEventSelector], quotas: &Quotas) -> Result<StoreKind, SelectorError> {
    if selectors.is_empty() {
        return Err(SelectorError::Empty);
    }
    if selectors.len() > quotas.selectors_per_store {
        return Err(SelectorError::TooMany(quotas.selectors_per_store));
    }
    let values = selectors.iter().flat_map(|s| &s.field_selectors).flat_map(AdvancedFieldSelector::operators);
    let found = values.map(|(_, values)| values.len()).sum();
    if found > quotas.selector_values_per_store {
        return Err(SelectorError::TooManyValues { found, limit: quotas.selector_values_per_store });
    }
    let mut first: Option<Category> = None;
    for (index, selector) in selectors.iter().enumerate() {
        let category = check_selector(index + 1, selector)?;
        match first {
            None => first = Some(category),
            Some(other) if StoreKind::of(other) != StoreKind::of(category) => {
                return Err(SelectorError::Mixed(other, category));
            }
            Some(_) => {}
        }
    }
    Ok(StoreKind::of(first.expect("the list is not empty")))
}

pub(crate) fn check_selector(number: usize, selector: &AdvancedEventSelector) -> Result<Category, SelectorError> {
    let value = selector.event_category().ok_or(SelectorError::NoCategory(number))?;
    let category = Category::parse(value)
        .ok_or_else(|| SelectorError::UnknownCategory { selector: number, value: value.to_owned() })?;
    for (index, field) in selector.field_selectors.iter().enumerate() {
        if selector.field_selectors[..index].iter().any(|earlier| earlier.field == field.field) {
            return Err(SelectorError::Repeated { selector: number, field: field.field.clone() });
        }
        check_field(number, category, field)?;
    }
    let required = match category {
        Category::Data => Some("resources.type"),
        Category::NetworkActivity => Some("eventSource"),
        _ => None,
    };
    match required {
        Some(field) if !selector.field_selectors.iter().any(|f| f.field == field) => {
            Err(SelectorError::Missing { selector: number, field, category })
        }
        _ => Ok(category),
    }
}

fn check_field(number: usize, category: Category, field: &AdvancedFieldSelector) -> Result<(), SelectorError> {
    let allowed: &[&str] = match category {
        Category::Management => &[
            "eventCategory",
            "readOnly",
            "eventSource",
            "eventName",
            "eventType",
            "sessionCredentialFromConsole",
            "userIdentity.arn",
        ],
        Category::Data => &[
            "eventCategory",
            "readOnly",
            "eventSource",
            "eventName",
            "eventType",
            "sessionCredentialFromConsole",
            "userIdentity.arn",
            "resources.type",
            "resources.ARN",
        ],
        Category::NetworkActivity => {
            &["eventCategory", "eventSource", "eventName", "errorCode", "vpcEndpointId", "userIdentity.arn"]
        }
        _ => &["eventCategory"],
    };
    if !allowed.contains(&field.field.as_str()) {
        return Err(SelectorError::Field { selector: number, field: field.field.clone(), category });
    }
    let mut operators = field.operators().peekable();
    if operators.peek().is_none() {
        return Err(SelectorError::NoOperator { selector: number, field: field.field.clone() });
    }
    for (operator, values) in operators {
        let allowed = match field.field.as_str() {
            "eventCategory" | "readOnly" | "resources.type" | "errorCode" => operator == "Equals",
            "eventSource" if category == Category::NetworkActivity => operator == "Equals" && values.len() == 1,
            "sessionCredentialFromConsole" => matches!(operator, "Equals" | "NotEquals"),
            _ => true,
        };
        if !allowed {
            return Err(SelectorError::Operator { selector: number, field: field.field.clone(), operator });
        }
        for value in values {
            if !value_allowed(field, operator, value) {
                return Err(SelectorError::Value {
                    selector: number,
                    field: field.field.clone(),
                    value: value.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Values that can never match are refused. Resource types are checked by form alone, so that types of services that
/// Towpath has not heard of work.
fn value_allowed(field: &AdvancedFieldSelector, operator: &str, value: &str) -> bool {
    match field.field.as_str() {
        "readOnly" => value == "true" || value == "false",
        "errorCode" => value == "VpceAccessDenied",
        "sessionCredentialFromConsole" => value == "true",
        "resources.type" => value.split("::").count() == 3 && value.split("::").all(|part| !part.is_empty()),
        "resources.ARN" if matches!(operator, "Equals" | "NotEquals") => value.parse::<crate::Arn>().is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Vec<AdvancedEventSelector> {
        serde_json::from_str(json).unwrap()
    }

    fn check(json: &str) -> Result<StoreKind, SelectorError> {
        check_store_selectors(&parse(json), &Quotas::default())
    }

    #[test]
    fn the_three_categories_of_cloudtrail_events_share_a_store() {
        let kind = check(
            r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]},
                {"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]}]},
                {"FieldSelectors":[{"Field":"eventCategory","Equals":["NetworkActivity"]},{"Field":"eventSource","Equals":["kms.amazonaws.com"]}]}]"#,
        );
        assert_eq!(kind, Ok(StoreKind::CloudTrail));
    }

    #[test]
    fn integration_events_stand_alone() {
        let activity = r#"{"FieldSelectors":[{"Field":"eventCategory","Equals":["ActivityAuditLog"]}]}"#;
        assert_eq!(check(&format!("[{activity}]")), Ok(StoreKind::Activity));
        let management = r#"{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]}"#;
        let mixed = check(&format!("[{activity},{management}]"));
        assert_eq!(mixed, Err(SelectorError::Mixed(Category::ActivityAuditLog, Category::Management)));
    }

    #[test]
    fn each_broken_rule_is_named() {
        let cases = [
            ("[]", "at least one"),
            (r#"[{"FieldSelectors":[{"Field":"eventName","Equals":["X"]}]}]"#, "needs the field eventCategory"),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Aggregated"]}]}]"#,
                "'Aggregated' is not known",
            ),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]}]}]"#,
                "needs the field 'resources.type'",
            ),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]}]}]"#,
                "'resources.type' is not allowed for eventCategory Management",
            ),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"readOnly","Equals":["yes"]}]}]"#,
                "does not allow the value 'yes'",
            ),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"readOnly","NotEquals":["true"]}]}]"#,
                "does not allow the operator NotEquals",
            ),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"eventName"}]}]"#,
                "'eventName' has no operator",
            ),
            (
                r#"[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"eventName","Equals":["A"]},{"Field":"eventName","Equals":["B"]}]}]"#,
                "more than once",
            ),
        ];
        for (json, message) in cases {
            let error = check(json).expect_err(json).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn values_are_counted_over_all_conditions() {
        let names: Vec<String> = (0..500).map(|n| format!("Op{n}")).collect();
        let mut selector = AdvancedEventSelector::default_management_events();
        selector.field_selectors.push(AdvancedFieldSelector {
            field: "eventName".to_owned(),
            equals: names,
            ..AdvancedFieldSelector::default()
        });
        let refused = check_store_selectors(&[selector.clone()], &Quotas::default());
        assert_eq!(refused, Err(SelectorError::TooManyValues { found: 501, limit: 500 }));
        selector.field_selectors[1].equals.pop();
        assert_eq!(check_store_selectors(&[selector], &Quotas::default()), Ok(StoreKind::CloudTrail));
    }
}
