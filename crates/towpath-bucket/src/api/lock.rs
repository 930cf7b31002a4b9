//! Object lock: what a bucket says, and what single objects have.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::Api;
use super::convert::{bucket_name, error, legal_hold, object_key, retention, timestamp};
use super::rights::Asked;
use crate::lock::{Bypass, DefaultRetention as Default_, LockMode, Period};
use crate::record::ObjectLock;

impl Api {
    /// Governance is bypassed by callers who ask for it and may. Who asks and may not is refused.
    pub(super) fn bypass(&self, asked: &Asked, wanted: Option<bool>, bucket: &str, key: &str) -> S3Result<Bypass> {
        if wanted != Some(true) {
            return Ok(Bypass::No);
        }
        self.buckets.authorize(&asked.caller, "s3:BypassGovernanceRetention", bucket, Some(key), &asked.context)?;
        Ok(Bypass::Yes)
    }

    pub(super) async fn get_object_lock_configuration(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        let missing = || {
            error("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
        };
        let lock = self.buckets.get(&request.input.bucket)?.object_lock.ok_or_else(missing)?;
        let rule = lock.default.map(|default| {
            let (days, years) = match default.period {
                Period::Days(days) => (i32::try_from(days).ok(), None),
                Period::Years(years) => (None, i32::try_from(years).ok()),
            };
            let mode = Some(ObjectLockRetentionMode::from_static(default.mode.as_str()));
            ObjectLockRule { default_retention: Some(DefaultRetention { days, mode, years }) }
        });
        let enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
        let configuration = ObjectLockConfiguration { object_lock_enabled: enabled, rule };
        Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
    }

    pub(super) async fn put_object_lock_configuration(
        &self,
        request: S3Request<PutObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
        let malformed = || {
            error(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema",
            )
        };
        let name = bucket_name(&request.input.bucket)?;
        let configuration = request.input.object_lock_configuration.ok_or_else(malformed)?;
        let enabled = configuration.object_lock_enabled.ok_or_else(malformed)?;
        if enabled.as_str() != ObjectLockEnabled::ENABLED {
            return Err(malformed());
        }
        let default = match configuration.rule.and_then(|rule| rule.default_retention) {
            None => None,
            Some(rule) => {
                let mode = rule.mode.as_ref().and_then(|mode| LockMode::parse(mode.as_str())).ok_or_else(malformed)?;
                let period = match (rule.days, rule.years) {
                    (Some(days), None) => u32::try_from(days).ok().map(Period::Days),
                    (None, Some(years)) => u32::try_from(years).ok().map(Period::Years),
                    _ => return Err(malformed()),
                };
                let wrong = || error("InvalidArgument", "Default retention period must be a positive integer value");
                let period = period.filter(|period| period.days().is_some()).ok_or_else(wrong)?;
                Some(Default_ { mode, period })
            }
        };
        self.buckets.set_object_lock(&name, ObjectLock { default }).await?;
        Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
    }

    pub(super) async fn get_object_retention(
        &self,
        request: S3Request<GetObjectRetentionInput>,
    ) -> S3Result<S3Response<GetObjectRetentionOutput>> {
        let input = request.input;
        let object = self.buckets.head(&input.bucket, &object_key(&input.key)?).await?;
        let kept = object.lock.retention.ok_or_else(no_lock)?;
        let retention = ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(kept.mode.as_str())),
            retain_until_date: Some(timestamp(kept.until)),
        };
        Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
    }

    pub(super) async fn put_object_retention(
        &self,
        request: S3Request<PutObjectRetentionInput>,
    ) -> S3Result<S3Response<PutObjectRetentionOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        let key = object_key(&input.key)?;
        let bypass = self.bypass(&asked, input.bypass_governance_retention, &input.bucket, key.as_str())?;
        let wanted = input.retention.unwrap_or_default();
        let mode = wanted.mode.map(|mode| ObjectLockMode::from(mode.as_str().to_owned()));
        let new = retention(mode.as_ref(), wanted.retain_until_date.as_ref())?;
        self.buckets.set_retention(&input.bucket, &key, new, bypass).await?;
        Ok(S3Response::new(PutObjectRetentionOutput::default()))
    }

    pub(super) async fn get_object_legal_hold(
        &self,
        request: S3Request<GetObjectLegalHoldInput>,
    ) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
        let input = request.input;
        if self.buckets.get(&input.bucket)?.object_lock.is_none() {
            return Err(error("InvalidRequest", "Bucket is missing Object Lock Configuration"));
        }
        let object = self.buckets.head(&input.bucket, &object_key(&input.key)?).await?;
        let status = if object.lock.legal_hold { "ON" } else { "OFF" };
        let legal_hold = ObjectLockLegalHold { status: Some(ObjectLockLegalHoldStatus::from_static(status)) };
        Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold: Some(legal_hold) }))
    }

    pub(super) async fn put_object_legal_hold(
        &self,
        request: S3Request<PutObjectLegalHoldInput>,
    ) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
        let input = request.input;
        let status = input.legal_hold.and_then(|hold| hold.status);
        let malformed = || error("MalformedXML", "The legal hold has no status");
        let on = legal_hold(Some(&status.ok_or_else(malformed)?))?;
        self.buckets.set_legal_hold(&input.bucket, &object_key(&input.key)?, on).await?;
        Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
    }
}

fn no_lock() -> s3s::S3Error {
    error("NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
}
