//! `towpath trails`: messages about delivered log files that were given up. Trails themselves are made with the AWS CLI.

use serde_json::{Value, json};

use super::time::shown_seconds;
use super::{Failure, connect, plural, shown, text};
use crate::client::{Api, Client, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Flags of `towpath trails`.
#[derive(Debug, clap::Args)]
pub struct Trails {
    #[command(subcommand)]
    action: Action,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List messages to topics, log groups and webhooks that were given up
    DeadLetters,
    /// Send messages that were given up once more
    RetryDeadLetter {
        /// The id of a message, as dead-letters shows it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

/// Columns of the list.
const COLUMNS: &[&str] =
    &["GivenUpTimestamp", "Target", "TrailARN", "S3ObjectKey", "Attempts", "Reason", "DeadLetterId"];

impl Trails {
    /// Runs the action.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PROMPT)?;
        match &self.action {
            Action::DeadLetters => self.list(&client).await,
            Action::RetryDeadLetter { id, .. } => {
                let ids = match id {
                    Some(id) => vec![id.clone()],
                    None => {
                        let letters = letters(&client).await?;
                        letters.iter().map(|letter| text(letter, "DeadLetterId").to_owned()).collect()
                    }
                };
                for id in &ids {
                    client.call(Api::Towpath, "RetryDeadLetter", &json!({ "DeadLetterId": id })).await?;
                }
                eprintln!("{} will be sent once more", plural(ids.len() as u64, "message"));
                Ok(())
            }
        }
    }

    async fn list(&self, client: &Client) -> Result<(), Failure> {
        let letters = letters(client).await?;
        if self.output == Format::Json {
            return Ok(output::print_json(&Value::Array(letters))?);
        }
        let mut rows = Rows::new(COLUMNS);
        for letter in &letters {
            let cell = |column: &&str| match *column {
                "GivenUpTimestamp" => shown_seconds(letter.get("GivenUpTimestamp")),
                column => shown(letter, column),
            };
            rows.push(COLUMNS.iter().map(cell).collect());
        }
        Ok(output::print(rows, self.output)?)
    }
}

async fn letters(client: &Client) -> Result<Vec<Value>, Failure> {
    Ok(client.list(Api::Towpath, "ListDeadLetters", &json!({}), "DeadLetters").await?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::fake::Fake;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        _trails: Trails,
    }

    #[test]
    fn one_message_or_all_are_retried() {
        let parse = |line: &str| Line::try_parse_from(std::iter::once("trails").chain(line.split_whitespace()));
        for good in ["dead-letters", "retry-dead-letter a/b", "retry-dead-letter --all", "dead-letters --output json"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "retry-dead-letter", "retry-dead-letter a --all"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn every_page_of_messages_is_read() {
        let pages = vec![
            (200, json!({ "DeadLetters": [{ "DeadLetterId": "a" }], "NextToken": "a" })),
            (200, json!({ "DeadLetters": [{ "DeadLetterId": "b" }] })),
        ];
        let fake = Fake::answering(pages).await;
        let found = letters(&fake.client()).await.unwrap();
        assert_eq!(found.iter().map(|letter| text(letter, "DeadLetterId")).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(fake.seen()[1].input, json!({ "NextToken": "a" }));
    }
}
