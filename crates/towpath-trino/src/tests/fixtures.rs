//! Invented tables, and a session that queries them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray, StringBuilder,
    StringViewArray, StructArray, StructBuilder, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use jiff::Timestamp;

use crate::functions::calendar::parse_moment;
use crate::{CellFormatter, OutputColumn, SqlError, parse, plan, session_context};

/// The store of invented events.
pub(crate) const EVENTS: &str = "5e2676f8-9fce-46ef-8142-3e36a94e6691";
/// A second store with the same schema and other events.
pub(crate) const OTHER: &str = "1a2b3c4d-0000-4111-8222-abcdefabcdef";

/// The time at which all tests run.
pub(crate) fn now() -> Timestamp {
    "2024-03-10T12:00:00Z".parse().unwrap()
}

/// Tables by name, and the session to query them.
pub(crate) struct Fixture {
    pub(crate) context: SessionContext,
    pub(crate) tables: HashMap<String, Arc<dyn TableProvider>>,
}

/// The outcome of a query, as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let context = session_context(SessionConfig::new().with_target_partitions(2), Arc::new(RuntimeEnv::default()));
        let mut tables = HashMap::<String, Arc<dyn TableProvider>>::new();
        for (name, batch) in [
            (EVENTS, events()),
            ("views", views()),
            (OTHER, other_events()),
            ("items", items()),
            ("numbers", numbers()),
        ] {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
            tables.insert(name.into(), Arc::new(table));
        }
        Self { context, tables }
    }

    pub(crate) fn plan(&self, sql: &str) -> Result<crate::Plan, SqlError> {
        plan(&self.context.state(), &parse(sql)?, |table| self.tables.get(&table.name).cloned(), now())
    }

    pub(crate) fn optimize(&self, plan: &crate::Plan) -> datafusion::error::Result<LogicalPlan> {
        self.context.state().optimize(&plan.logical)
    }

    pub(crate) async fn query(&self, sql: &str) -> Result<Answer, String> {
        let plan = self.plan(sql).map_err(|e| e.to_string())?;
        let batches =
            DataFrame::new(self.context.state(), plan.logical).collect().await.map_err(|e| e.strip_backtrace())?;
        let format = CellFormatter::new();
        let rows = batches.iter().flat_map(|b| (0..b.num_rows()).map(move |row| format.row(b, row))).collect();
        Ok(Answer { columns: plan.columns, rows })
    }

    /// Returns the error of a statement that cannot be planned.
    pub(crate) fn error(&self, sql: &str) -> SqlError {
        match self.plan(sql) {
            Ok(_) => panic!("planned without an error: {sql}"),
            Err(error) => error,
        }
    }
}

fn millis(texts: &[&str]) -> TimestampMillisecondArray {
    texts.iter().map(|t| Some(parse_moment(t).unwrap().wall / 1000)).collect::<Vec<_>>().into()
}

type Entries = Option<Vec<(&'static str, Option<&'static str>)>>;

fn maps(rows: Vec<Entries>) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in rows {
        let valid = row.is_some();
        for (key, value) in row.into_iter().flatten() {
            builder.keys().append_value(key);
            builder.values().append_option(value);
        }
        builder.append(valid).unwrap();
    }
    Arc::new(builder.finish())
}

fn text_fields(names: &[&str]) -> Fields {
    names.iter().map(|n| Field::new(*n, DataType::Utf8, true)).collect::<Vec<_>>().into()
}

fn resources(rows: Vec<Option<Vec<[&'static str; 3]>>>) -> ArrayRef {
    let fields = text_fields(&["accountid", "type", "arn"]);
    let mut builder = ListBuilder::new(StructBuilder::from_fields(fields, 0));
    for row in rows {
        let valid = row.is_some();
        for resource in row.into_iter().flatten() {
            for (i, text) in resource.iter().enumerate() {
                builder.values().field_builder::<StringBuilder>(i).unwrap().append_value(text);
            }
            builder.values().append(true);
        }
        builder.append(valid);
    }
    Arc::new(builder.finish())
}

fn row(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let names: Vec<Field> = fields.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    Arc::new(StructArray::new(names.into(), fields.into_iter().map(|(_, a)| a).collect(), None))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, a)| a).collect()).unwrap()
}

/// Six events of three principals.
fn events() -> RecordBatch {
    let issuer = row(vec![
        ("type", texts(&[None, Some("Role"), Some("Role"), None, None, None])),
        ("username", texts(&[None, Some("Deploy"), Some("Deploy"), None, None, None])),
        (
            "arn",
            texts(&[
                None,
                Some("arn:aws:iam::111122223333:role/Deploy"),
                Some("arn:aws:iam::111122223333:role/Deploy"),
                None,
                None,
                None,
            ]),
        ),
    ]);
    let attributes = row(vec![
        ("creationdate", Arc::new(millis(&["2024-03-01"; 6])) as ArrayRef),
        ("mfaauthenticated", texts(&[Some("true"), Some("false"), Some("false"), None, None, Some("true")])),
    ]);
    let session = row(vec![("attributes", attributes), ("sessionissuer", issuer)]);
    let identity = row(vec![
        (
            "type",
            texts(&[
                Some("IAMUser"),
                Some("AssumedRole"),
                Some("AssumedRole"),
                Some("AWSService"),
                Some("Root"),
                Some("IAMUser"),
            ]),
        ),
        (
            "arn",
            texts(&[
                Some("arn:aws:iam::111122223333:user/ann"),
                Some("arn:aws:sts::111122223333:assumed-role/Deploy/ci"),
                Some("arn:aws:sts::111122223333:assumed-role/Deploy/ci"),
                None,
                Some("arn:aws:iam::111122223333:root"),
                Some("arn:aws:iam::111122223333:user/bob"),
            ]),
        ),
        ("username", texts(&[Some("ann"), None, None, None, None, Some("bob")])),
        (
            "accesskeyid",
            texts(&[
                Some("AKIAEXAMPLEANN00001"),
                Some("ASIAEXAMPLECI000001"),
                Some("ASIAEXAMPLECI000001"),
                None,
                None,
                Some("AKIAEXAMPLEBOB00001"),
            ]),
        ),
        ("sessioncontext", session),
    ]);
    let json = [
        r#"{"eventName":"PutObject","requestParameters":{"bucketName":"logs","key":"a/b.txt","tagSet":{"items":[{"key":"team","value":"blue"}]}},"readOnly":false,"n":1.50}"#,
        r#"{"eventName":"GetObject","requestParameters":{"bucketName":"logs","key":"c.txt"},"readOnly":true,"n":2}"#,
        r#"{"eventName":"AssumeRole","requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/Deploy"},"readOnly":true}"#,
        r#"not json"#,
        r#"{"eventName":"ConsoleLogin","additionalEventData":{"MFAUsed":"No"},"responseElements":{"ConsoleLogin":"Failure"},"list":[1,"two",null,{"a":3}]}"#,
        r#"{"eventName":"ConsoleLogin","eventData":{"configuration":{"AWS:ComplianceItem":{"Content":{"Patch":{"PatchCount":7}}}}}}"#,
    ];
    batch(vec![
        ("eventid", texts(&[Some("e1"), Some("e2"), Some("e3"), Some("e4"), Some("e5"), Some("e6")])),
        (
            "eventtime",
            Arc::new(millis(&[
                "2023-01-22 16:53:53",
                "2023-01-22 17:00:00.250",
                "2023-02-01 00:00:00",
                "2024-03-09 23:59:59",
                "2024-03-10 11:30:00",
                "2024-03-10 11:45:00",
            ])),
        ),
        (
            "eventname",
            texts(&[
                Some("PutObject"),
                Some("GetObject"),
                Some("AssumeRole"),
                Some("Decrypt"),
                Some("ConsoleLogin"),
                Some("ConsoleLogin"),
            ]),
        ),
        (
            "eventsource",
            texts(&[
                Some("s3.amazonaws.com"),
                Some("s3.amazonaws.com"),
                Some("sts.amazonaws.com"),
                Some("kms.amazonaws.com"),
                Some("signin.amazonaws.com"),
                Some("signin.amazonaws.com"),
            ]),
        ),
        (
            "awsregion",
            texts(&[
                Some("eu-central-1"),
                Some("eu-central-1"),
                Some("us-east-1"),
                Some("us-east-1"),
                Some("us-east-1"),
                None,
            ]),
        ),
        (
            "sourceipaddress",
            texts(&[
                Some("192.0.2.10"),
                Some("198.51.100.7"),
                Some("198.51.100.7"),
                Some("kms.amazonaws.com"),
                Some("203.0.113.99"),
                Some("192.0.2.10"),
            ]),
        ),
        ("errorcode", texts(&[None, Some("AccessDenied"), None, None, None, None])),
        ("errormessage", texts(&[None, Some("Access Denied"), None, None, Some("Failed authentication"), None])),
        (
            "readonly",
            Arc::new(BooleanArray::from(vec![Some(false), Some(true), Some(true), None, Some(false), Some(false)])),
        ),
        ("sessioncredentialfromconsole", texts(&[None, None, None, None, Some("true"), Some("true")])),
        ("useridentity", identity),
        (
            "requestparameters",
            maps(vec![
                Some(vec![
                    ("bucketName", Some("logs")),
                    ("key", Some("a/b.txt")),
                    ("tagging", Some(r#"{"team":"blue","cost":12}"#)),
                ]),
                Some(vec![("bucketName", Some("logs")), ("key", Some("c.txt"))]),
                Some(vec![
                    ("roleArn", Some("arn:aws:iam::111122223333:role/Deploy")),
                    ("durationSeconds", Some("900")),
                ]),
                Some(vec![("key", Some("c.txt")), ("bucketName", Some("logs"))]),
                None,
                Some(vec![("nothing", None)]),
            ]),
        ),
        (
            "additionaleventdata",
            maps(vec![
                None,
                None,
                None,
                None,
                Some(vec![("MFAUsed", Some("No"))]),
                Some(vec![("MFAUsed", Some("Yes"))]),
            ]),
        ),
        (
            "resources",
            resources(vec![
                Some(vec![
                    ["111122223333", "AWS::S3::Object", "arn:aws:s3:::logs/a/b.txt"],
                    ["111122223333", "AWS::S3::Bucket", "arn:aws:s3:::logs"],
                ]),
                Some(vec![["111122223333", "AWS::S3::Bucket", "arn:aws:s3:::logs"]]),
                Some(vec![]),
                None,
                None,
                None,
            ]),
        ),
        ("eventjson", texts(&json.map(Some))),
    ])
}

fn other_events() -> RecordBatch {
    batch(vec![
        ("eventid", texts(&[Some("o1"), Some("o2")])),
        ("eventname", texts(&[Some("ConsoleLogin"), Some("CreateUser")])),
        ("eventtime", texts(&[Some("2024-03-10T11:45:00Z"), Some("2022-05-05T05:05:05Z")])),
        ("owner", texts(&[Some("bob"), Some("carol")])),
    ])
}

/// A few events as a Parquet scan may give them: string views, a zone in the time.
fn views() -> RecordBatch {
    let zoned = millis(&["2024-01-01 00:00:00", "2024-01-02 00:00:00", "2024-01-03 00:00:00"]).with_timezone("UTC");
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![Some("PutObject"), Some("GetObject"), None]));
    let dictionary = datafusion::arrow::compute::cast(
        &names,
        &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    )
    .unwrap();
    batch(vec![
        ("eventname", names),
        ("region", dictionary),
        ("eventtime", Arc::new(zoned)),
        ("eventjson", Arc::new(StringViewArray::from(vec![Some(r#"{"a":"x"}"#), Some(r#"{"a":1}"#), None]))),
    ])
}

/// Configuration items with nested documents.
fn items() -> RecordBatch {
    let configuration = maps(vec![
        Some(vec![("InstanceType", Some("t3.micro")), ("State", Some(r#"{"Name":"running","Code":16}"#))]),
        Some(vec![("InstanceType", Some("m5.large")), ("State", Some(r#"{"Name":"stopped","Code":80}"#))]),
    ]);
    let tags = maps(vec![Some(vec![("team", Some("blue"))]), Some(vec![("team", Some("red")), ("env", Some("prod"))])]);
    let data = row(vec![
        ("resourceid", texts(&[Some("i-1"), Some("i-2")])),
        ("resourcetype", texts(&[Some("AWS::EC2::Instance"); 2])),
        ("configuration", configuration),
        ("tags", tags),
    ]);
    batch(vec![
        ("eventid", texts(&[Some("c1"), Some("c2")])),
        ("eventtime", Arc::new(millis(&["2024-03-01 08:00:00", "2024-03-02 08:00:00"]))),
        ("eventdata", data),
    ])
}

fn numbers() -> RecordBatch {
    batch(vec![
        ("k", texts(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("b"), None])),
        ("n", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None, Some(5), Some(7)]))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), Some(1.5), Some(2.5), Some(-2.5), None, Some(10.0)]))),
    ])
}
