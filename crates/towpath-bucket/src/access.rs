//! May this caller do this with that bucket? IAM's rules over the caller's policies and the policy of the bucket.

use std::sync::Arc;

use serde_json::Value;

use towpath_iam::{Context, Credentials, Decision, Policy, PolicyKind, Principal, Request, evaluate};

use crate::buckets::Buckets;
use crate::error::BucketError;
use crate::name::BucketName;

/// Who asks, with the policies on the caller's side.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The identity.
    pub principal: Arc<Principal>,
    /// The policies of the user or role.
    pub identity: Arc<[Arc<Policy>]>,
    /// The policy passed when the role was assumed.
    pub session: Option<Arc<Policy>>,
    /// The key that signed.
    pub access_key_id: Option<String>,
}

impl Caller {
    /// Nobody in particular: a request without a signature.
    pub fn anonymous() -> Self {
        Self::bare(Principal::Anonymous)
    }

    /// A service of the installation, such as `cloudtrail.amazonaws.com`.
    pub fn service(name: &str) -> Self {
        Self::bare(Principal::Service(name.to_owned()))
    }

    fn bare(principal: Principal) -> Self {
        Self { principal: Arc::new(principal), identity: Arc::from([]), session: None, access_key_id: None }
    }
}

impl From<&Credentials> for Caller {
    fn from(credentials: &Credentials) -> Self {
        Self {
            principal: Arc::clone(&credentials.principal),
            identity: Arc::clone(&credentials.identity),
            session: credentials.session.clone(),
            access_key_id: Some(credentials.access_key_id.as_str().to_owned()),
        }
    }
}

impl Buckets {
    /// Decides whether `caller` may do `action` (such as `s3:GetObject`) on an object, or on the bucket itself.
    pub fn authorize(
        &self,
        caller: &Caller,
        action: &str,
        bucket: &str,
        key: Option<&str>,
        context: &Context,
    ) -> Result<(), BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let name = &bucket.record.name;
        let resource = key.map_or_else(|| name.arn(), |key| name.object_arn(key));
        let request = Request {
            principal: &caller.principal,
            action,
            resource: &resource,
            resource_account: bucket.record.owner,
            context,
        };
        allowed(evaluate(&request, &caller.identity, bucket.policy.as_ref(), caller.session.as_deref()), &request)
    }

    /// Decides whether `caller` may do `action` in its own account, such as `s3:CreateBucket`.
    pub fn authorize_own(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), BucketError> {
        let denied = || BucketError::AccessDenied("Anonymous users cannot perform this operation".to_owned());
        let resource_account = caller.principal.account().ok_or_else(denied)?;
        let request = Request { principal: &caller.principal, action, resource, resource_account, context };
        allowed(evaluate(&request, &caller.identity, None, caller.session.as_deref()), &request)
    }
}

fn allowed(decision: Decision, request: &Request<'_>) -> Result<(), BucketError> {
    match decision.message(request) {
        None => Ok(()),
        Some(message) => Err(BucketError::AccessDenied(message)),
    }
}

/// Checks a policy that is about to be put on a bucket: the language, and that it speaks of this bucket alone.
pub(crate) fn check_policy(bucket: &BucketName, text: &str) -> Result<Policy, BucketError> {
    let malformed = |problem: String| BucketError::MalformedPolicy(problem);
    let policy = Policy::parse(text, PolicyKind::Resource).map_err(|error| malformed(error.to_string()))?;
    let document: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let arn = bucket.arn();
    let own = |resource: &str| {
        resource.strip_prefix(&arn).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*', '?']))
    };
    for (index, statement) in many(&document["Statement"]).enumerate() {
        let resources = many(&statement["Resource"]).chain(many(&statement["NotResource"]));
        let mut resources = resources.filter_map(Value::as_str).peekable();
        if resources.peek().is_none() {
            return Err(malformed(format!("Statement[{index}]: Missing required field Resource")));
        }
        if let Some(strange) = resources.find(|resource| !own(resource)) {
            return Err(malformed(format!("Statement[{index}]: Policy has invalid resource {strange}")));
        }
    }
    Ok(policy)
}

/// The elements of a list, or the one value that is written without a list.
fn many(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Null => Box::new(std::iter::empty()),
        Value::Array(values) => Box::new(values.iter()),
        one => Box::new(std::iter::once(one)),
    }
}
