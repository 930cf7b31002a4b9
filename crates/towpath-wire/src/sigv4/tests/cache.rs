//! The cache of signing keys.

use super::*;

#[test]
fn a_secret_that_changed_under_the_same_key_is_noticed_by_the_key_cache() {
    let golden = Golden::named("a form");
    let (signed, keys) = (golden.parse().unwrap(), SigningKeys::new(8));
    let expect = Expect { service: "sts", now: golden.time, skew: DEFAULT_SKEW };
    let verify = |secret: &str| signed.verify(secret.as_bytes(), &BodyHash::of(golden.body.as_bytes()), &expect, &keys);
    assert!(verify("other").is_err());
    assert!(verify(&golden.secret).is_ok());
    assert!(verify("other").is_err());
    assert!(verify(&golden.secret).is_ok());
    assert_eq!(keys.len(), 1);
}

#[test]
fn the_key_cache_stays_within_its_bound_and_keeps_what_is_used() {
    let keys = SigningKeys::new(4);
    let scope = |n: u32| Scope { day: format!("{n:08}"), region: "r".to_owned(), service: "s".to_owned() };
    for n in 0..100 {
        keys.get("key", b"secret", &scope(n));
        keys.get("key", b"secret", &scope(0));
        assert!(keys.len() <= 8);
    }
    let fresh = key::SigningKey::derive(b"secret", &scope(0)).sign("text");
    assert_eq!(keys.get("key", b"secret", &scope(0)).sign("text"), fresh);
}
