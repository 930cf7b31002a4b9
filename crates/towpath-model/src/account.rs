//! AWS account numbers.

use std::str::FromStr;

use crate::text::is_a_text;

/// The number of an account: twelve ASCII digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 12]);

/// The text is not an account number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an account id has twelve digits")]
pub struct AccountIdError;

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an AccountId holds ASCII digits")
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: [u8; 12] = text.as_bytes().try_into().map_err(|_| AccountIdError)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(AccountIdError) }
    }
}

is_a_text!(AccountId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_digits_are_an_account() {
        assert_eq!("000000000000".parse::<AccountId>().unwrap().to_string(), "000000000000");
    }

    #[test]
    fn anything_else_is_not() {
        for text in ["", "1", "00000000000a", "0000000000000", "٠٠٠٠٠٠٠٠٠٠٠٠"] {
            assert_eq!(text.parse::<AccountId>(), Err(AccountIdError), "{text}");
        }
    }
}
