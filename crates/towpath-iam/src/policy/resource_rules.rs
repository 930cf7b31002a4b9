//! What CloudTrail asks of the resource policies of channels and event data stores, beyond their being policies.
//!
//! Limits are those of the CloudTrail Lake guide: 1-20 statements, 1-50 principals in each, one action for channels,
//! a list of actions for stores.

use towpath_model::Arn;

use super::{Effect, Listed, Policy, PrincipalPattern, Statement};

/// Most statements in the policy of a channel or store.
pub const MAX_STATEMENTS: usize = 20;
/// Most principals in one statement.
pub const MAX_PRINCIPALS: usize = 50;

/// The one action a policy of a channel may name.
const CHANNEL_ACTIONS: &[&str] = &["cloudtrail-data:PutAuditEvents"];

/// The actions a policy of an event data store may name.
pub const STORE_ACTIONS: &[&str] = &[
    "cloudtrail:StartQuery",
    "cloudtrail:CancelQuery",
    "cloudtrail:ListQueries",
    "cloudtrail:DescribeQuery",
    "cloudtrail:GetQueryResults",
    "cloudtrail:GenerateQuery",
    "cloudtrail:GenerateQueryResultsSummary",
    "cloudtrail:GetEventDataStore",
];

/// The key whose value a sender passes as `externalId`.
const EXTERNAL_ID: &str = "cloudtrail:ExternalId";

/// The rules for the policy of one channel or store.
#[derive(Clone, Debug)]
pub struct ResourcePolicyRules<'a> {
    arn: &'a Arn,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Channel,
    Store,
}

/// Why CloudTrail does not take a policy, and where; the text belongs into `ResourcePolicyNotValidException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct RuleViolation {
    /// The place in the document.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
}

impl<'a> ResourcePolicyRules<'a> {
    /// The rules for the policy of the channel `arn`.
    pub fn channel(arn: &'a Arn) -> Self {
        Self { arn, kind: Kind::Channel }
    }

    /// The rules for the policy of the event data store `arn`.
    pub fn store(arn: &'a Arn) -> Self {
        Self { arn, kind: Kind::Store }
    }

    /// Checks a policy that was read as [`super::PolicyKind::Resource`].
    pub fn check(&self, policy: &Policy) -> Result<(), RuleViolation> {
        let statements = policy.statements();
        if statements.len() > MAX_STATEMENTS {
            let problem = format!("has {} statements, more than {MAX_STATEMENTS}", statements.len());
            return violation("Statement".to_owned(), problem);
        }
        for (index, statement) in statements.iter().enumerate() {
            let at = |element: &str| format!("Statement[{index}].{element}");
            self.check_principals(statement).or_else(|problem| violation(at("Principal"), problem))?;
            self.check_actions(statement).or_else(|problem| violation(at("Action"), problem))?;
            self.check_resources(statement).or_else(|problem| violation(at("Resource"), problem))?;
            self.check_conditions(statement).or_else(|problem| violation(at("Condition"), problem))?;
        }
        Ok(())
    }

    fn check_principals(&self, statement: &Statement) -> Result<(), String> {
        let Some(Listed::These(principals)) = &statement.principals else {
            return Err("NotPrincipal is not supported".to_owned());
        };
        if principals.len() > MAX_PRINCIPALS {
            return Err(format!("has {} principals, more than {MAX_PRINCIPALS}", principals.len()));
        }
        for principal in principals {
            match (principal, self.kind, statement.effect) {
                (PrincipalPattern::Anyone, _, Effect::Allow) => {
                    return Err("\"*\" would let anyone in; name accounts, users or roles".to_owned());
                }
                (PrincipalPattern::Service(name), Kind::Channel, _) => {
                    return Err(format!("service {name:?} cannot send to a channel"));
                }
                (PrincipalPattern::Provider(name), _, _) => {
                    return Err(format!("identity provider {name:?} is not supported"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_actions(&self, statement: &Statement) -> Result<(), String> {
        let allowed = match self.kind {
            Kind::Channel => CHANNEL_ACTIONS,
            Kind::Store => STORE_ACTIONS,
        };
        if matches!(statement.actions, Listed::AllBut(_)) {
            return Err("NotAction is not supported".to_owned());
        }
        let unknown = |action: &&String| !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(action));
        match statement.action_texts.iter().find(unknown) {
            Some(action) => Err(format!("{action:?} is not supported; use {}", allowed.join(", "))),
            None => Ok(()),
        }
    }

    fn check_resources(&self, statement: &Statement) -> Result<(), String> {
        if matches!(statement.resources, Some(Listed::AllBut(_))) {
            return Err("NotResource is not supported".to_owned());
        }
        // Published policies that let dashboards query a store name the dashboard, the store or nothing here.
        let for_services = |principals: &Vec<PrincipalPattern>| {
            principals.iter().all(|principal| matches!(principal, PrincipalPattern::Service(_)))
        };
        let lenient = matches!(&statement.principals, Some(Listed::These(list)) if for_services(list));
        if lenient && self.kind == Kind::Store {
            return Ok(());
        }
        if statement.resource_texts.is_empty() {
            return Err(format!("is missing; use {}", self.arn));
        }
        match statement.resource_texts.iter().find(|text| *text != self.arn.as_str()) {
            Some(text) => Err(format!("{text:?} is not the resource of this policy, {}", self.arn)),
            None => Ok(()),
        }
    }

    fn check_conditions(&self, statement: &Statement) -> Result<(), String> {
        for condition in &statement.conditions {
            let is_external_id = condition.key.eq_ignore_ascii_case(EXTERNAL_ID);
            let is_global = condition.key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"));
            if is_external_id && self.kind == Kind::Channel {
                if !condition.operator.is_string_equals() {
                    return Err(format!("{EXTERNAL_ID} can be used with StringEquals only"));
                }
            } else if !is_global {
                return Err(format!("condition key {:?} is not supported", condition.key));
            }
        }
        Ok(())
    }
}

fn violation<T>(at: String, problem: String) -> Result<T, RuleViolation> {
    Err(RuleViolation { at, problem })
}
