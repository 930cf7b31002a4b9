//! Tokens for the next page: a position, and a seal over it and over the request it belongs to.
//!
//! A token carries no state of the server. The seal (HMAC-SHA-256, first half) covers the operation, the parameters of
//! the request and the position, so a token that was changed, or is sent with other parameters, is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use towpath_meta::{Expect, Key, MetaError, MetaStore, Write};

/// Longest token that is looked at, in characters; the API allows 1000.
const MAX_TOKEN: usize = 1000;
const SEAL: usize = 16;

/// The token was not given out for this request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadToken;

/// Seals and opens tokens.
#[derive(Clone)]
pub(crate) struct PageTokens {
    key: [u8; 32],
}

impl PageTokens {
    /// Seals with the key that the metadata store keeps, making it when there is none.
    pub(crate) async fn open(meta: &dyn MetaStore) -> Result<Self, MetaError> {
        let name = Key::new("query/page-token-key").expect("the name is a plain key");
        loop {
            if let Some(record) = meta.get(&name).await? {
                let key = record.value.as_ref().try_into();
                return key.map(|key| Self { key }).map_err(|_| MetaError::Damaged(format!("{name} has a wrong size")));
            }
            let fresh: [u8; 32] = rand::random();
            match meta.commit(&[Expect::Absent(name.clone())], &[Write::Put(name.clone(), fresh.to_vec().into())]).await
            {
                Ok(_) => return Ok(Self { key: fresh }),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Seals `position` for a request with these `parameters` (operation first).
    pub(crate) fn seal(&self, parameters: &[&[u8]], position: &[u8]) -> String {
        let mut bytes = position.to_vec();
        bytes.extend_from_slice(&self.mac(parameters, position)[..SEAL]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a token that was sealed with the same parameters.
    pub(crate) fn open_token(&self, parameters: &[&[u8]], token: &str) -> Result<Vec<u8>, BadToken> {
        if token.len() > MAX_TOKEN {
            return Err(BadToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
        let cut = bytes.len().checked_sub(SEAL).ok_or(BadToken)?;
        let (position, seal) = bytes.split_at(cut);
        let expected = self.mac(parameters, position);
        if bool::from(expected[..SEAL].ct_eq(seal)) { Ok(position.to_vec()) } else { Err(BadToken) }
    }

    /// Opens a token that holds one number.
    pub(crate) fn open_number(&self, parameters: &[&[u8]], token: &str) -> Result<u64, BadToken> {
        let position = self.open_token(parameters, token)?;
        Ok(u64::from_be_bytes(position.try_into().map_err(|_| BadToken)?))
    }

    fn mac(&self, parameters: &[&[u8]], position: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in parameters.iter().chain([&position]) {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towpath_meta::MemoryMetaStore;

    use super::*;

    fn tokens() -> PageTokens {
        PageTokens { key: [7; 32] }
    }

    #[tokio::test]
    async fn the_key_outlives_a_restart() {
        let meta = MemoryMetaStore::new();
        let token = PageTokens::open(&meta).await.unwrap().seal(&[b"list"], b"here");
        let opened = PageTokens::open(&meta).await.unwrap().open_token(&[b"list"], &token);
        assert_eq!(opened, Ok(b"here".to_vec()));
    }

    #[test]
    fn a_token_opens_with_its_own_parameters_only() {
        let token = tokens().seal(&[b"results", b"ab", b"c"], &5u64.to_be_bytes());
        assert_eq!(tokens().open_number(&[b"results", b"ab", b"c"], &token), Ok(5));
        assert_eq!(tokens().open_number(&[b"results", b"a", b"bc"], &token), Err(BadToken));
        assert_eq!(tokens().open_number(&[b"results", b"abc"], &token), Err(BadToken));
        assert_eq!(PageTokens { key: [8; 32] }.open_number(&[b"results", b"ab", b"c"], &token), Err(BadToken));
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(position in prop::collection::vec(any::<u8>(), 0..40), at in 0usize..80, to in any::<char>()) {
            let token = tokens().seal(&[b"x"], &position);
            let mut letters: Vec<char> = token.chars().collect();
            let at = at % letters.len();
            prop_assume!(letters[at] != to);
            letters[at] = to;
            let changed: String = letters.into_iter().collect();
            prop_assert_eq!(tokens().open_token(&[b"x"], &changed), Err(BadToken));
        }

        #[test]
        fn no_text_makes_opening_panic(text in ".{0,60}") {
            let _ = tokens().open_token(&[b"x"], &text);
        }
    }
}
