//! The selectors of a trail: none of its own, basic ones or advanced ones.

use serde::{Deserialize, Serialize};

use crate::event_selector::EXCLUDABLE_SOURCES;
use crate::selector_rules::{SelectorError, check_selector};
use crate::{AdvancedEventSelector, AdvancedFieldSelector, Category, EventFacts, EventSelector};

/// What PutEventSelectors set; setting one kind erases the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrailSelectors {
    /// PutEventSelectors was never used: all management events.
    #[default]
    Default,
    /// Basic selectors; at least one.
    Basic(Vec<EventSelector>),
    /// Advanced selectors; at least one.
    Advanced(Vec<AdvancedEventSelector>),
}

/// Values over all conditions of all advanced selectors of a trail.
pub const MAX_SELECTOR_VALUES: usize = 500;

impl TrailSelectors {
    /// True when one of the selectors takes the event.
    pub fn matches(&self, event: &EventFacts<'_>) -> bool {
        match self {
            Self::Default => event.category == "Management",
            Self::Basic(selectors) => selectors.iter().any(|selector| selector.matches(event)),
            Self::Advanced(selectors) => selectors.iter().any(|selector| selector.matches(event)),
        }
    }

    /// True when a selector asks for data events.
    pub fn take_data_events(&self) -> bool {
        match self {
            Self::Default => false,
            Self::Basic(selectors) => selectors.iter().any(|selector| !selector.data_resources.is_empty()),
            Self::Advanced(selectors) => selectors.iter().any(|selector| selector.event_category() == Some("Data")),
        }
    }

    /// The `HasCustomEventSelectors` of the trail.
    pub fn custom(&self) -> bool {
        !matches!(self, Self::Default)
    }

    /// The selector that GetEventSelectors answers for a trail without its own.
    pub fn default_selector() -> AdvancedEventSelector {
        AdvancedEventSelector::category("Management events selector", "Management")
    }
}

/// Checks the advanced selectors of a trail (selectors.md, section 3): the rules of event data stores, with fewer
/// categories and, for management events, fewer fields.
///
/// # Errors
/// The first rule that is broken, in the order of the list.
pub fn check_trail_selectors(selectors: &[AdvancedEventSelector]) -> Result<(), SelectorError> {
    if selectors.is_empty() {
        return Err(SelectorError::Empty);
    }
    let values = selectors.iter().flat_map(|s| &s.field_selectors).flat_map(AdvancedFieldSelector::operators);
    let found = values.map(|(_, values)| values.len()).sum();
    if found > MAX_SELECTOR_VALUES {
        return Err(SelectorError::TooManyValues { found, limit: MAX_SELECTOR_VALUES });
    }
    for (index, selector) in selectors.iter().enumerate() {
        let number = index + 1;
        match check_selector(number, selector)? {
            Category::Management => check_management(number, selector)?,
            Category::Data | Category::NetworkActivity => {}
            other => {
                return Err(SelectorError::UnknownCategory { selector: number, value: other.as_str().to_owned() });
            }
        }
    }
    Ok(())
}

fn check_management(number: usize, selector: &AdvancedEventSelector) -> Result<(), SelectorError> {
    for field in &selector.field_selectors {
        match field.field.as_str() {
            "eventCategory" | "readOnly" => {}
            "eventSource" => {
                if let Some((operator, _)) = field.operators().find(|(operator, _)| *operator != "NotEquals") {
                    return Err(SelectorError::Operator { selector: number, field: field.field.clone(), operator });
                }
                let other = field.not_equals.iter().find(|value| !EXCLUDABLE_SOURCES.contains(&value.as_str()));
                if let Some(value) = other {
                    let (field, value) = (field.field.clone(), value.clone());
                    return Err(SelectorError::Value { selector: number, field, value });
                }
            }
            _ => {
                let (field, category) = (field.field.clone(), Category::Management);
                return Err(SelectorError::Field { selector: number, field, category });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), SelectorError> {
        check_trail_selectors(&serde_json::from_str::<Vec<_>>(json).unwrap())
    }

    #[test]
    fn a_trail_without_selectors_takes_all_management_events() {
        let facts = |category| EventFacts { category, read_only: Some(true), ..EventFacts::default() };
        assert!(TrailSelectors::Default.matches(&facts("Management")));
        assert!(!TrailSelectors::Default.matches(&facts("Data")));
        assert!(TrailSelectors::default_selector().matches(&facts("Management")));
        assert!(!TrailSelectors::Default.custom());
    }

    #[test]
    fn one_matching_selector_is_enough() {
        let writes: EventSelector = serde_json::from_str(r#"{"ReadWriteType":"WriteOnly"}"#).unwrap();
        let reads: EventSelector = serde_json::from_str(r#"{"ReadWriteType":"ReadOnly"}"#).unwrap();
        let facts = EventFacts { category: "Management", read_only: Some(true), ..EventFacts::default() };
        assert!(!TrailSelectors::Basic(vec![writes.clone()]).matches(&facts));
        assert!(TrailSelectors::Basic(vec![writes, reads]).matches(&facts));
    }

    #[test]
    fn management_selectors_of_trails_say_less_than_those_of_stores() {
        let management = |field: &str| {
            check(&format!(r#"[{{"FieldSelectors":[{{"Field":"eventCategory","Equals":["Management"]}},{field}]}}]"#))
        };
        assert_eq!(management(r#"{"Field":"readOnly","Equals":["true"]}"#), Ok(()));
        assert_eq!(management(r#"{"Field":"eventSource","NotEquals":["kms.amazonaws.com"]}"#), Ok(()));
        let equals = management(r#"{"Field":"eventSource","Equals":["kms.amazonaws.com"]}"#);
        assert!(matches!(equals, Err(SelectorError::Operator { .. })));
        let other = management(r#"{"Field":"eventSource","NotEquals":["s3.amazonaws.com"]}"#);
        assert!(matches!(other, Err(SelectorError::Value { .. })));
        let name = management(r#"{"Field":"eventName","Equals":["X"]}"#);
        assert!(matches!(name, Err(SelectorError::Field { .. })));
    }

    #[test]
    fn only_three_categories_are_for_trails() {
        for (category, more, good) in [
            ("Data", r#",{"Field":"resources.type","Equals":["AWS::S3::Object"]}"#, true),
            ("NetworkActivity", r#",{"Field":"eventSource","Equals":["kms.amazonaws.com"]}"#, true),
            ("Insight", "", false),
            ("ConfigurationItem", "", false),
        ] {
            let json = format!(r#"[{{"FieldSelectors":[{{"Field":"eventCategory","Equals":["{category}"]}}{more}]}}]"#);
            assert_eq!(check(&json).is_ok(), good, "{category}");
        }
        assert_eq!(check("[]"), Err(SelectorError::Empty));
    }
}
