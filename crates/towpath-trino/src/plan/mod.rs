//! From a statement to a plan.
//!
//! DataFusion's own SQL planner does the work, with three extensions: operators are planned by Trino's rules as soon as
//! the types of their operands are known, `UNNEST` is planned together with the tables it reads, and what can only be
//! decided on whole plans (IN lists, unions, grouping by maps) is settled in one pass over the finished plan.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{TableReference, plan_datafusion_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion::functions_window::planner::WindowFunctionPlanner;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::planner::{NullOrdering, ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use jiff::Timestamp;

use crate::error::SqlError;
use crate::functions::registry;
use crate::sql::names::{OutputName, without_suffix};
use crate::sql::statement::{Statement, TableName};
use crate::types::trino_type_name;

mod correlated;
mod errors;
mod lifted;
mod moment;
mod operators;
mod outer;
mod predicates;
mod settle;
mod unnest;

/// A planned statement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The plan, not yet analyzed or optimized. Its column names are unique and not fit to be shown.
    pub logical: LogicalPlan,
    /// The columns of the result, in order.
    pub columns: Vec<OutputColumn>,
}

/// A column of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// The name to show; names may repeat.
    pub name: String,
    /// The Trino type, as `typeof` writes it.
    pub trino_type: String,
}

/// Plans a statement.
///
/// `tables` gives the provider of each of [`Statement::tables`]; a name it does not give is an error. All names in the
/// providers' schemas must be lower case, at every depth. `now` is what `current_timestamp` is throughout the statement.
pub fn plan(
    state: &SessionState,
    statement: &Statement,
    tables: impl Fn(&TableName) -> Option<Arc<dyn TableProvider>>,
    now: Timestamp,
) -> Result<Plan, SqlError> {
    let mut sources = HashMap::new();
    for table in statement.tables() {
        let Some(provider) = tables(table) else {
            return Err(SqlError {
                message: format!("unknown table: {}", table.name),
                line: table.line,
                column: table.column,
            });
        };
        sources.insert(table.name.clone(), provider_as_source(provider));
    }
    stacker::maybe_grow(STACK / 2, STACK, || plan_here(state, statement, sources, now))
}

/// Stack for planning.
const STACK: usize = 32 * 1024 * 1024;

/// How often a statement is rewritten because of fields of outer rows.
const MAX_RETRIES: usize = 20;

fn plan_here(
    state: &SessionState,
    statement: &Statement,
    sources: HashMap<String, Arc<dyn TableSource>>,
    now: Timestamp,
) -> Result<Plan, SqlError> {
    let operators = Arc::new(operators::Operators::default());
    let context = Context {
        state,
        sources,
        moments: moment::of_statement(now),
        expr_planners: vec![
            Arc::clone(&operators) as Arc<dyn ExprPlanner>,
            // They turn count(*) into a count of a constant.
            Arc::new(AggregateFunctionPlanner),
            Arc::new(WindowFunctionPlanner),
        ],
        relation_planners: vec![Arc::new(unnest::UnnestPlanner)],
    };
    let options = ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_parse_float_as_decimal(true)
        .with_map_string_types_to_utf8view(false)
        .with_collect_spans(true)
        .with_default_null_ordering(NullOrdering::NullsLast);
    let mut query = statement.query.clone();
    let mut retries = 0;
    let logical = loop {
        let planner = SqlToRel::new_with_options(&context, options);
        match planner.sql_statement_to_plan(SqlStatement::Query(Box::new(query.clone()))) {
            Ok(logical) => break logical,
            Err(error) => {
                if retries < MAX_RETRIES && outer::separate_fields(&mut query, &error.to_string()) {
                    retries += 1;
                    continue;
                }
                let error = operators.take_mistake().unwrap_or(error);
                return Err(errors::sql_error(error, statement, &context.columns()));
            }
        }
    };
    let logical = settle::settle(logical).map_err(|error| errors::sql_error(error, statement, &context.columns()))?;
    let columns = output_columns(&logical, statement);
    Ok(Plan { logical, columns })
}

fn output_columns(plan: &LogicalPlan, statement: &Statement) -> Vec<OutputColumn> {
    let fields = plan.schema().fields();
    let name = |position: usize, name: &str| match statement.outputs.get(name) {
        Some(OutputName::Given(shown)) => shown.clone(),
        Some(OutputName::Numbered) => format!("_col{position}"),
        None => without_suffix(name).to_owned(),
    };
    fields
        .iter()
        .enumerate()
        .map(|(i, field)| OutputColumn { name: name(i, field.name()), trino_type: trino_type_name(field.data_type()) })
        .collect()
}

/// What DataFusion's planner may see.
struct Context<'a> {
    state: &'a SessionState,
    sources: HashMap<String, Arc<dyn TableSource>>,
    moments: HashMap<&'static str, Arc<ScalarUDF>>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
}

impl Context<'_> {
    /// Lists the columns of all tables, to find a misspelt one.
    fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .sources
            .values()
            .flat_map(|s| s.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl ContextProvider for Context<'_> {
    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        let wanted = match &name {
            TableReference::Bare { table } => table.to_string(),
            TableReference::Partial { schema, table } => format!("{schema}.{table}"),
            TableReference::Full { catalog, schema, table } => format!("{catalog}.{schema}.{table}"),
        };
        self.sources.get(&wanted).cloned().ok_or_else(|| plan_datafusion_err!("unknown table: {wanted}"))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: datafusion::arrow::datatypes::SchemaRef,
    ) -> DataFusionResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(datafusion::datasource::cte_worktable::CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.moments.get(name).cloned().or_else(|| registry().scalar(name))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        registry().lambda(name)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        registry().aggregate(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        registry().window(name)
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        vec![]
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }

    fn udaf_names(&self) -> Vec<String> {
        vec!["count".into()]
    }

    fn udwf_names(&self) -> Vec<String> {
        vec!["rank".into()]
    }
}
