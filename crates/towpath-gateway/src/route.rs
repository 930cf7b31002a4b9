//! Routing: which upstream takes a call, and what service and region it is of.
//!
//! Upstreams that name hosts, targets or paths are asked first, then those that name services, then those that take
//! anything; among equals the earlier in the configuration.
//!
//! The service is what a signature is for. Of a call that is not signed it is what the host says, if it is one of AWS's,
//! else what the models say of its `X-Amz-Target`, or of the service in its path (`/service/{name}/operation/{name}`, Smithy RPC v2).

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use towpath_model::Region;

use crate::host;
use crate::recording::Routed;
use crate::scope::Scope;
use crate::settings::TargetServices;
use crate::upstream::{Takes, Upstream};

/// A header that names an operation, in the JSON protocols of AWS.
const TARGET: &str = "x-amz-target";

/// Decides where calls go, over anything that has an upstream's settings.
pub struct Routes<T> {
    ordered: Vec<T>,
    unknown: T,
    targets: TargetServices,
}

/// What routing found.
pub struct Found<'a, T> {
    /// Who takes the call, or who stands in if nobody does.
    pub taker: &'a T,
    /// What the record must know.
    pub routed: Routed,
}

/// What a call says of itself.
struct Claims<'a> {
    scope: Scope,
    host: String,
    host_service: Option<(String, Option<Region>)>,
    target: Option<&'a str>,
    target_service: Option<&'a str>,
    path: &'a str,
}

impl<T: AsRef<Upstream>> Routes<T> {
    /// Routes to `upstreams`, and to `unknown` what none of them takes.
    pub fn new(mut upstreams: Vec<T>, unknown: T, targets: TargetServices) -> Self {
        upstreams.sort_by_key(|upstream| rank(&upstream.as_ref().takes));
        Self { ordered: upstreams, unknown, targets }
    }

    /// Finds who takes a call.
    pub fn find(&self, head: &Parts) -> Found<'_, T> {
        let claims = Claims::of(head, &self.targets);
        let taker = self.ordered.iter().find(|upstream| claims.fit(&upstream.as_ref().takes)).unwrap_or(&self.unknown);
        Found { taker, routed: claims.routed(taker.as_ref()) }
    }
}

fn rank(takes: &Takes) -> u8 {
    match (takes.has_rule(), takes.services.is_empty()) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

impl Takes {
    /// True if hosts, targets or paths are named.
    fn has_rule(&self) -> bool {
        !(self.hosts.is_empty() && self.targets.is_empty() && self.paths.is_empty())
    }
}

impl<'a> Claims<'a> {
    fn of(head: &'a Parts, targets: &'a TargetServices) -> Self {
        let host = host::asked(head).map(host::plain).unwrap_or_default();
        let scope = Scope::of(head);
        let target = head.headers.get(TARGET).and_then(|value| value.to_str().ok()).and_then(prefix);
        let target = target.or_else(|| rpc_service(head));
        // Not looked for where something surer speaks.
        let host_service = host::service(&host);
        let unsaid = scope.service.is_none() && host_service.is_none();
        let target_service = target.filter(|_| unsaid).and_then(|target| service_of(target, targets));
        Self { scope, host_service, host, target, target_service, path: head.uri.path() }
    }

    fn fit(&self, takes: &Takes) -> bool {
        self.fit_rule(takes) && self.fit_service(takes) && self.fit_region(takes)
    }

    fn fit_rule(&self, takes: &Takes) -> bool {
        let any = |list: &[String], fits: &dyn Fn(&str) -> bool| list.is_empty() || list.iter().any(|one| fits(one));
        any(&takes.hosts, &|pattern| host::matches(pattern, &self.host))
            && any(&takes.targets, &|prefix| self.target.is_some_and(|target| target == prefix))
            && any(&takes.paths, &|pattern| path_matches(pattern, self.path))
    }

    fn fit_service(&self, takes: &Takes) -> bool {
        if takes.services.is_empty() {
            return true;
        }
        let named = |service: &str| takes.services.iter().any(|one| one == service);
        match &self.scope.service {
            Some(service) => named(service),
            // A rule that fits says what the service is of a call that is not signed.
            None if takes.has_rule() => true,
            None => self.unsigned_service().is_some_and(named),
        }
    }

    fn fit_region(&self, takes: &Takes) -> bool {
        takes.regions.is_empty() || self.region().is_some_and(|region| takes.regions.contains(region))
    }

    /// The service that is called, as far as host and target tell.
    fn unsigned_service(&self) -> Option<&str> {
        self.host_service.as_ref().map(|(service, _)| service.as_str()).or(self.target_service)
    }

    fn region(&self) -> Option<&Region> {
        self.scope.region.as_ref().or_else(|| self.host_service.as_ref()?.1.as_ref())
    }

    fn routed(&self, upstream: &Upstream) -> Routed {
        // An upstream of one service says what an unsigned call is of; one of several leaves it to host and target.
        let of_upstream = match &upstream.takes.services[..] {
            [only] => Some(only.as_str()),
            _ => None,
        };
        let signed_for: Option<Arc<str>> = self.scope.service.as_deref().map(Arc::from);
        Routed {
            upstream: Arc::clone(&upstream.recorded.name),
            service: signed_for.clone().or_else(|| of_upstream.or_else(|| self.unsigned_service()).map(Arc::from)),
            signed_for,
            region: self.region().unwrap_or(&upstream.recorded.region).clone(),
            account: upstream.recorded.account,
            event_source: upstream.event_source.as_deref().map(Arc::from),
        }
    }
}

/// `DynamoDB_20120810` of `DynamoDB_20120810.PutItem`.
fn prefix(target: &str) -> Option<&str> {
    target.rsplit_once('.').map(|(prefix, _)| prefix)
}

/// `Orders` of `POST /service/Orders/operation/Put`, if the call says that it is one of Smithy's RPC v2.
fn rpc_service(head: &Parts) -> Option<&str> {
    if head.method != Method::POST || !head.headers.contains_key("smithy-protocol") {
        return None;
    }
    let (before, operation) = head.uri.path().rsplit_once("/operation/")?;
    let (_, service) = before.rsplit_once("/service/")?;
    let plain = |text: &str| !text.is_empty() && !text.contains('/');
    (plain(service) && plain(operation)).then_some(service)
}

/// The service of a target's prefix: of the prefix itself, and of the long form that some SDKs send
/// (`com.amazonaws.x.v2013.Prefix`).
fn service_of<'t>(prefix: &str, targets: &'t TargetServices) -> Option<&'t str> {
    let last = prefix.rsplit_once('.').map(|(_, last)| last);
    targets.get(prefix).or_else(|| targets.get(last?)).map(String::as_str)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::recording::{Policy, RecordedUpstream};

    impl AsRef<Upstream> for Upstream {
        fn as_ref(&self) -> &Upstream {
            self
        }
    }

    fn upstream(name: &str, change: impl FnOnce(&mut Takes)) -> Upstream {
        let recorded = RecordedUpstream {
            name: name.into(),
            account: "111122223333".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            policy: Policy::FailClosed,
            verifies: false,
        };
        let mut upstream = Upstream::new(recorded, None);
        change(&mut upstream.takes);
        upstream
    }

    fn service(name: &str) -> Upstream {
        upstream(name, |takes| takes.services = vec![name.to_owned()])
    }

    fn signed(service: &str, region: &str) -> http::request::Builder {
        let value = format!("AWS4-HMAC-SHA256 Credential=AKID/20261121/{region}/{service}/aws4_request, Signature=0");
        Request::post("/").header("authorization", value)
    }

    fn find(routes: &Routes<Upstream>, request: http::request::Builder) -> (String, Option<String>, String) {
        let head = request.body(()).unwrap().into_parts().0;
        let found = routes.find(&head);
        let service = found.routed.service.map(|service| service.to_string());
        (found.taker.recorded.name.to_string(), service, found.routed.region.to_string())
    }

    fn went(name: &str, service: Option<&str>, region: &str) -> (String, Option<String>, String) {
        (name.to_owned(), service.map(str::to_owned), region.to_owned())
    }

    #[test]
    fn a_signed_call_goes_to_the_upstream_of_its_service() {
        let routes =
            Routes::new(vec![service("s3"), service("sts")], upstream("unknown", |_| {}), TargetServices::new());
        assert_eq!(find(&routes, signed("sts", "eu-west-1")), went("sts", Some("sts"), "eu-west-1"));
        assert_eq!(find(&routes, signed("sqs", "eu-west-1")), went("unknown", Some("sqs"), "eu-west-1"));
        // What the host says does not matter where the signature speaks.
        let both = signed("s3", "eu-west-1").header("host", "sts.amazonaws.com");
        assert_eq!(find(&routes, both), went("s3", Some("s3"), "eu-west-1"));
    }

    #[test]
    fn an_unsigned_call_goes_where_its_host_belongs() {
        let routes =
            Routes::new(vec![service("s3"), service("sts")], upstream("unknown", |_| {}), TargetServices::new());
        let call = Request::get("/key").header("host", "bucket.s3.eu-central-1.amazonaws.com:443");
        assert_eq!(find(&routes, call), went("s3", Some("s3"), "eu-central-1"));
        assert_eq!(find(&routes, Request::get("/").header("host", "x.org")), went("unknown", None, "us-east-1"));
        assert_eq!(find(&routes, Request::get("/")), went("unknown", None, "us-east-1"));
    }

    #[test]
    fn a_call_that_only_its_target_explains_goes_to_the_upstream_of_that_service() {
        let targets = [("DynamoDB_20120810", "dynamodb"), ("AmazonSQS", "sqs")];
        let targets = targets.map(|(prefix, service)| (prefix.to_owned(), service.to_owned())).into();
        let queues = upstream("queues", |takes| takes.services = vec!["sqs".to_owned(), "sns".to_owned()]);
        let routes = Routes::new(vec![service("dynamodb"), queues], upstream("unknown", |_| {}), targets);
        let call = |target: &str| Request::post("/").header("host", "gate.test").header("x-amz-target", target);

        assert_eq!(find(&routes, call("DynamoDB_20120810.PutItem")), went("dynamodb", Some("dynamodb"), "us-east-1"));
        assert_eq!(find(&routes, call("AmazonSQS.ListQueues")), went("queues", Some("sqs"), "us-east-1"));
        assert_eq!(find(&routes, call("com.amazonaws.sqs.AmazonSQS.ListQueues")).0, "queues");
        for strange in ["AmazonSQS", "NotAmazonSQS.ListQueues", ".", "", "Orders.Put"] {
            assert_eq!(find(&routes, call(strange)), went("unknown", None, "us-east-1"), "{strange}");
        }
        // The path of an RPC says the same, if the call says that it is one.
        let rpc = |path: &str| Request::post(path).header("smithy-protocol", "rpc-v2-cbor");
        let to = "/service/DynamoDB_20120810/operation/PutItem";
        assert_eq!(find(&routes, rpc(to)), went("dynamodb", Some("dynamodb"), "us-east-1"));
        assert_eq!(find(&routes, Request::post(to)).0, "unknown");
        for strange in ["/service/AmazonSQS", "/service//operation/A", "/service/AmazonSQS/operation/", "/operation/A"]
        {
            assert_eq!(find(&routes, rpc(strange)).0, "unknown", "{strange}");
        }
        // Host and signature are surer.
        let host = Request::post("/").header("host", "kms.us-east-1.amazonaws.com");
        assert_eq!(find(&routes, host.header("x-amz-target", "AmazonSQS.ListQueues")).0, "unknown");
        assert_eq!(find(&routes, signed("dynamodb", "us-east-1").header("x-amz-target", "AmazonSQS.X")).0, "dynamodb");
    }

    #[test]
    fn a_rule_wins_over_a_service_and_a_service_over_what_takes_anything() {
        let any = upstream("any", |_| {});
        let ruled = upstream("ruled", |takes| {
            takes.services = vec!["orders".to_owned()];
            takes.hosts = vec!["*.orders.example.org".to_owned()];
            takes.paths = vec!["/v1/*".to_owned()];
        });
        let target = upstream("target", |takes| takes.targets = vec!["DynamoDB_20120810".to_owned()]);
        let routes =
            Routes::new(vec![any, service("s3"), ruled, target], upstream("unknown", |_| {}), TargetServices::new());

        let call = |path: &str| Request::get(path).header("host", "eu.orders.example.org");
        assert_eq!(find(&routes, call("/v1/x")), went("ruled", Some("orders"), "us-east-1"));
        assert_eq!(find(&routes, call("/v2/x")), went("any", None, "us-east-1"));
        let call = signed("dynamodb", "us-west-2").header("x-amz-target", "DynamoDB_20120810.PutItem");
        assert_eq!(find(&routes, call), went("target", Some("dynamodb"), "us-west-2"));
        assert_eq!(find(&routes, signed("s3", "us-west-2")), went("s3", Some("s3"), "us-west-2"));
        assert_eq!(find(&routes, signed("sns", "us-west-2")), went("any", Some("sns"), "us-west-2"));
        // Signed for another service: the rule does not take it.
        let call = signed("s3", "us-west-2").uri("/v1/x").header("host", "eu.orders.example.org");
        assert_eq!(find(&routes, call), went("s3", Some("s3"), "us-west-2"));
    }

    #[test]
    fn one_service_may_have_an_upstream_for_each_region() {
        let of = |name: &str, region: &str| {
            upstream(name, |takes| {
                takes.services = vec!["s3".to_owned()];
                takes.regions = vec![region.parse().unwrap()];
            })
        };
        let routes = Routes::new(
            vec![of("east", "us-east-1"), of("west", "us-west-2")],
            upstream("unknown", |_| {}),
            TargetServices::new(),
        );
        assert_eq!(find(&routes, signed("s3", "us-west-2")).0, "west");
        assert_eq!(find(&routes, signed("s3", "us-east-1")).0, "east");
        assert_eq!(find(&routes, signed("s3", "eu-west-1")).0, "unknown");
    }
}
