//! `towpath channels`: channels that take audit events.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::stores::{print_members, read_json, tags};
use super::{Failure, connect, shown, store_name, text};
use crate::client::{Api, Client, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Flags of `towpath channels`.
#[derive(Debug, clap::Args)]
pub struct Channels {
    #[command(subcommand)]
    action: Option<Action>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Default, clap::Subcommand)]
enum Action {
    /// List the channels of the region; also what happens when nothing is said
    #[default]
    List,
    /// Show a channel with its ingestion status
    Show {
        /// Name, id or ARN
        channel: String,
    },
    /// Make a channel
    Create {
        /// Name, 3 to 128 letters, digits, dots, dashes and underscores
        name: String,
        /// Event data store that gets the events, by name, id or ARN; may be given more than once
        #[arg(long, required = true, value_name = "STORE")]
        store: Vec<String>,
        /// Who sends: Custom or a partner
        #[arg(long, default_value = "Custom")]
        source: String,
        /// A tag; may be given more than once
        #[arg(long, value_name = "KEY=VALUE")]
        tag: Vec<String>,
    },
    /// Change the name or the stores of a channel
    Update {
        /// Name, id or ARN
        channel: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// The stores that get the events from now on, all of them
        #[arg(long, value_name = "STORE")]
        store: Vec<String>,
    },
    /// Delete a channel
    Delete {
        /// Name, id or ARN
        channel: String,
    },
    /// Show the channel's resource policy
    GetPolicy {
        /// Name, id or ARN
        channel: String,
    },
    /// Set the channel's resource policy: who else may send
    PutPolicy {
        /// Name, id or ARN
        channel: String,
        /// File with the policy as JSON; - reads standard input
        policy: PathBuf,
    },
    /// Remove the channel's resource policy
    DeletePolicy {
        /// Name, id or ARN
        channel: String,
    },
}

impl Channels {
    /// Runs the action.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PROMPT)?;
        let (client, format) = (&client, self.output);
        match self.action.unwrap_or_default() {
            Action::List => list(client, format).await,
            Action::Show { channel } => {
                let input = json!({ "Channel": arn(client, &channel).await? });
                print_members(&client.call(Api::CloudTrail, "GetChannel", &input).await?, format)
            }
            Action::Create { name, store, source, tag } => {
                let mut input = json!({
                    "Name": name, "Source": source, "Destinations": destinations(client, &store).await?,
                });
                if !tag.is_empty() {
                    input["Tags"] = tags(&tag)?;
                }
                print_members(&client.call(Api::CloudTrail, "CreateChannel", &input).await?, format)
            }
            Action::Update { channel, name, store } => {
                let mut input = json!({ "Channel": arn(client, &channel).await? });
                if let Some(name) = name {
                    input["Name"] = json!(name);
                }
                if !store.is_empty() {
                    input["Destinations"] = destinations(client, &store).await?;
                }
                print_members(&client.call(Api::CloudTrail, "UpdateChannel", &input).await?, format)
            }
            Action::Delete { channel } => {
                let input = json!({ "Channel": arn(client, &channel).await? });
                client.call(Api::CloudTrail, "DeleteChannel", &input).await?;
                eprintln!("channel {channel} is deleted");
                Ok(())
            }
            Action::GetPolicy { channel } => {
                let input = json!({ "ResourceArn": arn(client, &channel).await? });
                let answer = client.call(Api::CloudTrail, "GetResourcePolicy", &input).await?;
                let policy = text(&answer, "ResourcePolicy");
                let policy = serde_json::from_str(policy).unwrap_or_else(|_| json!(policy));
                Ok(output::print_json(&policy)?)
            }
            Action::PutPolicy { channel, policy } => {
                let policy = read_json(&policy)?.to_string();
                let input = json!({ "ResourceArn": arn(client, &channel).await?, "ResourcePolicy": policy });
                client.call(Api::CloudTrail, "PutResourcePolicy", &input).await?;
                eprintln!("channel {channel} has a new resource policy");
                Ok(())
            }
            Action::DeletePolicy { channel } => {
                let input = json!({ "ResourceArn": arn(client, &channel).await? });
                client.call(Api::CloudTrail, "DeleteResourcePolicy", &input).await?;
                eprintln!("channel {channel} has no resource policy any more");
                Ok(())
            }
        }
    }
}

/// The ARN of the channel of that name or id.
pub async fn arn(client: &Client, written: &str) -> Result<String, Failure> {
    if written.starts_with("arn:") {
        return Ok(written.to_owned());
    }
    let channels = client.list(Api::CloudTrail, "ListChannels", &json!({}), "Channels").await?;
    let is = |channel: &&Value| {
        text(channel, "Name") == written || text(channel, "ChannelArn").rsplit('/').next() == Some(written)
    };
    if let Some(channel) = channels.iter().find(is) {
        return Ok(text(channel, "ChannelArn").to_owned());
    }
    let names: Vec<_> = channels.iter().map(|channel| text(channel, "Name")).collect();
    let hint = if names.is_empty() {
        "this account has no channel in this region; make one with \"towpath channels create\"".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    Err(Failure::plain(format!("there is no channel {written} in this region"), hint))
}

async fn destinations(client: &Client, stores: &[String]) -> Result<Value, Failure> {
    let mut destinations = Vec::new();
    for store in stores {
        let location = store_name::reference(client, store).await?;
        destinations.push(json!({ "Type": "EVENT_DATA_STORE", "Location": location }));
    }
    Ok(Value::Array(destinations))
}

async fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let channels = client.list(Api::CloudTrail, "ListChannels", &json!({}), "Channels").await?;
    if format == Format::Json {
        return Ok(output::print_json(&Value::Array(channels))?);
    }
    let mut rows = Rows::new(&["name", "arn"]);
    for channel in &channels {
        rows.push(vec![shown(channel, "Name"), shown(channel, "ChannelArn")]);
    }
    Ok(output::print(rows, format)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::Fake;

    #[tokio::test]
    async fn a_channel_is_found_by_name_or_id() {
        let arn_ = "arn:aws:cloudtrail:eu-west-1:000000000000:channel/11111111-2222-3333-4444-555555555555";
        let fake = Fake::start(move |_| (200, json!({"Channels": [{"ChannelArn": arn_, "Name": "shop"}]}))).await;
        let client = fake.client();
        assert_eq!(arn(&client, "shop").await.unwrap(), arn_);
        assert_eq!(arn(&client, "11111111-2222-3333-4444-555555555555").await.unwrap(), arn_);
        assert_eq!(arn(&client, "other").await.unwrap_err().hint().unwrap(), "there are: shop");
    }
}
