//! Records of a gateway that runs in the server's process, straight into its log.

use async_trait::async_trait;
use towpath_capture::CapturedRecord;
use towpath_gateway::{RecordSink, SinkError};
use towpath_service::{OfferedRecord, Service};

/// Appends records to the log of this process.
pub struct LogSink(pub Service);

#[async_trait]
impl RecordSink for LogSink {
    async fn append(&self, records: &[CapturedRecord]) -> Result<(), SinkError> {
        let offered: Vec<_> = records.iter().map(offered).collect();
        let refused = self.0.put_gateway_records(&offered).await;
        let refused = refused.map_err(|error| SinkError::Later(format!("{}: {}", error.code(), error.message())))?;
        if refused.is_empty() {
            return Ok(());
        }
        let told = refused.into_iter().map(|(place, why)| (place, format!("{}: {}", why.code, why.message)));
        Err(SinkError::Never(told.collect()))
    }
}

fn offered(record: &CapturedRecord) -> OfferedRecord {
    OfferedRecord { event_id: record.event_id, json: record.json.clone(), channel: record.channel.clone() }
}
