//! Amazon Resource Names: `arn:partition:service:region:account:resource`.

use std::str::FromStr;

use crate::text::is_a_text;
use crate::{AccountId, Region};

/// A parsed ARN. Region and account may be empty, as in `arn:aws:s3:::bucket`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    // Byte offsets of the five colons that separate the six parts.
    colons: [u16; 5],
}

/// Why a text is no ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Longer than 2,048 bytes.
    #[error("an ARN has at most 2048 characters")]
    TooLong,
    /// Fewer than six parts, a wrong prefix, or an empty partition, service or resource.
    #[error("an ARN has the form arn:partition:service:region:account:resource")]
    Form,
}

impl Arn {
    /// The longest ARN accepted, in bytes.
    pub const MAX_LEN: usize = 2048;

    /// Builds the ARN of a CloudTrail resource, such as `eventdatastore/<uuid>`.
    pub fn cloudtrail(region: &Region, account: AccountId, resource: &str) -> Self {
        Self::new("cloudtrail", region.as_str(), account.as_str(), resource)
    }

    /// Builds an IAM ARN, such as `user/name`; IAM has no region.
    pub fn iam(account: AccountId, resource: &str) -> Self {
        Self::new("iam", "", account.as_str(), resource)
    }

    fn new(service: &str, region: &str, account: &str, resource: &str) -> Self {
        format!("arn:aws:{service}:{region}:{account}:{resource}")
            .parse()
            .expect("the parts come from checked types and literals")
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn part(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { usize::from(self.colons[index - 1]) + 1 };
        let end = if index == 5 { self.text.len() } else { usize::from(self.colons[index]) };
        &self.text[start..end]
    }

    /// `aws`, `aws-cn`, ...
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// `cloudtrail`, `iam`, ...
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The region, or the empty text.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account's text, or the empty text.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// The account, if the ARN names one.
    pub fn account_id(&self) -> Option<AccountId> {
        self.account().parse().ok()
    }

    /// All after the fifth colon.
    pub fn resource(&self) -> &str {
        self.part(5)
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_LEN {
            return Err(ArnError::TooLong);
        }
        let mut colons = [0u16; 5];
        let mut found = text.match_indices(':');
        for colon in &mut colons {
            let (at, _) = found.next().ok_or(ArnError::Form)?;
            *colon = u16::try_from(at).map_err(|_| ArnError::TooLong)?;
        }
        let arn = Self { text: text.to_owned(), colons };
        let whole = arn.part(0) == "arn" && !arn.partition().is_empty() && !arn.service().is_empty();
        if whole && !arn.resource().is_empty() { Ok(arn) } else { Err(ArnError::Form) }
    }
}

is_a_text!(Arn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_arn_has_six_parts() {
        let arn: Arn = "arn:aws:cloudtrail:us-east-1:123456789012:channel/a:b".parse().unwrap();
        assert_eq!(
            (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()),
            ("aws", "cloudtrail", "us-east-1", "123456789012", "channel/a:b")
        );
    }

    #[test]
    fn a_bucket_arn_has_neither_region_nor_account() {
        let arn: Arn = "arn:aws:s3:::bucket/key".parse().unwrap();
        assert_eq!((arn.region(), arn.account_id(), arn.resource()), ("", None, "bucket/key"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "arn", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::x", "arn::s3:::x"] {
            assert_eq!(text.parse::<Arn>(), Err(ArnError::Form), "{text}");
        }
        assert_eq!("a:".repeat(2000).parse::<Arn>(), Err(ArnError::TooLong));
    }
}
