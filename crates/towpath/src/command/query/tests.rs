//! Queries against a server with a script.

use super::*;
use crate::client::fake::{Fake, error};
use crate::output::Width;

const ID: &str = "11111111-2222-3333-4444-555555555555";

fn stores() -> Value {
    json!({"EventDataStores": [
        {"EventDataStoreArn": format!("arn:aws:cloudtrail:eu-west-1:000000000000:eventdatastore/{ID}"), "Name": "audit"},
    ]})
}

fn written(result: impl FnOnce(&mut RowWriter<&mut Vec<u8>>)) -> String {
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, Format::Csv, Width::Unlimited, false);
    result(&mut writer);
    writer.finish().unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn an_answer_is_waited_for_and_read_to_its_last_page() {
    let mut looks = 0;
    let fake = Fake::start(move |seen| match seen.operation.as_str() {
        "DescribeQuery" => {
            looks += 1;
            let status = ["QUEUED", "RUNNING", "FINISHED"][(looks - 1).min(2)];
            (200, json!({"QueryStatus": status, "QueryStatistics": {"EventsMatched": 3, "BytesScanned": 2048}}))
        }
        "GetQueryResults" if seen.input.get("NextToken").is_none() => (
            200,
            json!({"QueryStatus": "FINISHED", "NextToken": "t", "QueryResultRows": [
                [{"eventName": "A"}, {"n": "1"}, {"n": "x"}],
                [{"eventName": "B"}, {"n": ""}, {"n": "y"}],
            ]}),
        ),
        _ => {
            (200, json!({"QueryStatus": "FINISHED", "QueryResultRows": [[{"eventName": "C"}, {"n": "3"}, {"n": "z"}]]}))
        }
    })
    .await;
    let client = fake.client();
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, Format::Csv, Width::Unlimited, false);
    let (described, rows) = answer_of(&client, "q", &mut writer, Format::Csv).await.unwrap();
    writer.finish().unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), "eventName,n,n\nA,1,x\nB,,y\nC,3,z\n");
    assert!(statistics(&described, rows, Duration::from_millis(7)).starts_with("3 rows; scanned 2.0 KiB"));
    assert_eq!(
        fake.operations(),
        ["DescribeQuery", "DescribeQuery", "DescribeQuery", "GetQueryResults", "GetQueryResults"]
    );
}

#[tokio::test]
async fn a_query_that_failed_says_why() {
    for (status, expected) in [
        ("FAILED", "the query failed: Query exhausted resources"),
        ("TIMED_OUT", "the query ran out of time"),
        ("CANCELLED", "the query was cancelled"),
    ] {
        let fake =
            Fake::answering(vec![(200, json!({"QueryStatus": status, "ErrorMessage": "Query exhausted resources"}))])
                .await;
        let client = fake.client();
        let mut writer = RowWriter::new(Vec::new(), Format::Csv, Width::Unlimited, false);
        let failure = answer_of(&client, "q", &mut writer, Format::Csv).await.unwrap_err();
        assert_eq!(failure.to_string(), expected);
    }
}

#[tokio::test]
async fn names_become_ids_and_it_is_said() {
    let fake = Fake::start(|_| (200, stores())).await;
    let client = fake.client();
    let sql = "SELECT 1 FROM \"audit\" a JOIN $EDS_ID b, unknown";
    let (replacements, remarks) = resolve_names(&client, sql, None).await.unwrap();
    assert_eq!(names::replace(sql, &replacements), format!("SELECT 1 FROM {ID} a JOIN {ID} b, unknown"));
    assert_eq!(remarks, [format!("audit is event data store {ID}"), format!("$EDS_ID is event data store {ID}")]);
    let refusal = resolve_names(&client, "SELECT 1 FROM $EDS_ID", Some("other")).await.unwrap_err();
    assert_eq!(refusal.to_string(), "there is no event data store other in eu-west-1");
    assert_eq!(refusal.hint().unwrap(), "there are: audit; one more is made with: towpath stores create NAME");
}

#[tokio::test]
async fn a_statement_without_names_is_sent_as_it_is() {
    let fake = Fake::answering(vec![error(400, "Unexpected", "nobody should ask")]).await;
    let sql = format!("SELECT 1 FROM {ID}");
    assert_eq!(resolve_names(&fake.client(), &sql, None).await.unwrap().0, []);
    assert!(fake.seen().is_empty());
}

#[test]
fn a_refused_statement_is_shown_with_a_mark_where_it_is_wrong() {
    let refused = |code: &str| ClientError::Refused {
        operation: "StartQuery".to_owned(),
        status: http::StatusCode::BAD_REQUEST,
        code: code.to_owned(),
        message: "line 1:8: unknown column: evntname".to_owned(),
    };
    let told = |code| with_place(refused(code), "SELECT evntName FROM audit", &[(21..26, ID.to_owned())]).to_string();
    assert_eq!(
        told("InvalidQueryStatementException"),
        "StartQuery was refused: InvalidQueryStatementException: line 1:8: unknown column: evntname\n  \
         SELECT evntName FROM audit\n         ^"
    );
    assert!(!told("InactiveQueryException").contains('^'));
}

#[test]
fn a_page_without_rows_has_no_columns() {
    assert_eq!(rows_of(&json!({"QueryResultRows": []})), None);
    assert_eq!(rows_of(&json!({})), None);
    assert_eq!(written(|_| ()), "");
}
