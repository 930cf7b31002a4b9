//! Trino SQL queries on DataFusion.
//!
//! ```text
//! text --parse--> Statement --plan--> Plan --DataFusion--> batches --CellFormatter--> text
//! ```
//!
//! [`parse`] reads exactly one SELECT statement and says which tables it needs, so that a caller can look them up and
//! decide who may read them before anything is planned. [`plan`] makes a DataFusion plan of it by Trino's rules, with the
//! names of the result columns beside it. The plan runs in any session; [`session_context`] builds one that also knows
//! the functions by name. [`CellFormatter`] writes the values of a result as Trino's JDBC clients show them.
//!
//! | Trino | here |
//! |---|---|
//! | names without regard to case | lower case throughout; the schema of every table must be lower case, at every depth |
//! | `FROM 5e2676f8-9fce-46ef-8142-3e36a94e6691` | a UUID is a table name, without quotes |
//! | session zone | UTC |
//! | text compared with a timestamp or a boolean | allowed, the text is read leniently |
//! | integer literals | `bigint` |
//! | a timestamp with time zone | the zone belongs to the column, not to the value |
//! | regular expressions | linear time: no look-around and no back references |
//! | `UNNEST` of a column of an outer query | last in its FROM, over outer rows that no LIMIT cuts off |
//! | `(a, b) [NOT] IN (subquery)` in a select list | false where Trino has NULL |
//! | `TABLESAMPLE`, `MATCH_RECOGNIZE`, `LATERAL`, `JSON_TABLE` | refused |

mod cell;
mod error;
mod functions;
mod plan;
mod session;
mod sql;
#[cfg(test)]
mod tests;
mod types;

pub use self::cell::CellFormatter;
pub use self::error::SqlError;
pub use self::plan::{OutputColumn, Plan, plan};
pub use self::session::{register_functions, session_context};
pub use self::sql::{MAX_LENGTH, Statement, TableName, parse};
pub use self::types::trino_type_name;
