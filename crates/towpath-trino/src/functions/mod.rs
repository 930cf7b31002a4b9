//! The functions of Trino, by name.
//!
//! Nothing is inherited from DataFusion's own function list: a name is known here or it is unknown. Names that start with
//! `$` are for the rewriter and cannot be written in a query.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

use self::scalar::{RowFunction, lenient_name};

mod arithmetic;
pub(crate) mod arrays;
pub(crate) mod calendar;
pub(crate) mod casts;
mod codecs;
mod datetime;
mod durations;
mod formats;
pub(crate) mod interval;
mod json;
mod json_build;
mod json_path;
mod json_standard;
mod json_text;
mod lambdas;
pub(crate) mod maps;
pub(crate) mod moments;
mod numbers;
mod quantified;
mod regexps;
pub(crate) mod scalar;
pub(crate) mod shape;
mod strings;
mod sums;

/// Names that the rewriter turns into something else.
const REWRITTEN: [&str; 38] = [
    "map",
    "if",
    "try",
    "now",
    "current_timestamp",
    "localtimestamp",
    "current_date",
    "current_timezone",
    "pi",
    "count_if",
    "arbitrary",
    "any_value",
    "max_by",
    "min_by",
    "map_agg",
    "multimap_agg",
    "histogram",
    "map_union",
    "listagg",
    "reduce_agg",
    "$joined",
    "approx_percentile",
    "geometric_mean",
    "every",
    "variance",
    "stddev_samp",
    "bitwise_and_agg",
    "bitwise_or_agg",
    "bitwise_xor_agg",
    "greatest",
    "least",
    "count",
    "min",
    "max",
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
];

/// Functions that the planner supplies for one statement.
const OF_STATEMENT: [&str; 3] = ["$now", "$localtimestamp", "$today"];

const AGGREGATES: [&str; 26] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "bool_and",
    "bool_or",
    "stddev",
    "stddev_pop",
    "var_samp",
    "var_pop",
    "corr",
    "covar_samp",
    "covar_pop",
    "regr_slope",
    "regr_intercept",
    "approx_distinct",
    "approx_percentile_cont",
    "first_value",
    "last_value",
    "nth_value",
    "bit_and",
    "bit_or",
    "bit_xor",
    "grouping",
];

const WINDOWS: [&str; 11] = [
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lead",
    "lag",
    "first_value",
    "last_value",
    "nth_value",
];

/// All functions.
pub(crate) struct Registry {
    scalars: HashMap<String, Arc<ScalarUDF>>,
    lambdas: HashMap<String, Arc<HigherOrderUDF>>,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
    windows: HashMap<String, Arc<WindowUDF>>,
    names: HashSet<String>,
}

/// Returns the functions, built once.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::build);
    &REGISTRY
}

impl Registry {
    fn build() -> Self {
        let mut scalars = HashMap::new();
        let row_functions = [
            strings::functions(),
            regexps::functions(),
            datetime::functions(),
            json::functions(),
            numbers::functions(),
            codecs::functions(),
        ];
        for (name, overloads) in row_functions.into_iter().flatten() {
            scalars.insert(lenient_name(name), Arc::new(RowFunction::lenient_udf(name, overloads.clone())));
            scalars.insert(name.to_owned(), Arc::new(RowFunction::udf(name, overloads)));
        }
        for shape in [
            arithmetic::shapes(),
            quantified::shapes(),
            json_standard::shapes(),
            json_build::shapes(),
            durations::shapes(),
            arrays::shapes(),
            maps::shapes(),
            casts::shapes(),
            moments::shapes(),
            numbers::shapes(),
            formats::shapes(),
        ]
        .into_iter()
        .flatten()
        {
            scalars.insert(lenient_name(shape.name), Arc::new(shape.udf(true)));
            scalars.insert(shape.name.to_owned(), Arc::new(shape.udf(false)));
        }
        scalars.insert("coalesce".into(), datafusion::functions::core::coalesce());
        scalars.insert("nullif".into(), datafusion::functions::core::nullif());
        scalars.insert("random".into(), datafusion::functions::math::random());
        scalars.insert("rand".into(), datafusion::functions::math::random());
        scalars.insert("uuid".into(), datafusion::functions::string::uuid());
        let lambdas: HashMap<_, _> = lambdas::functions().into_iter().map(|f| (f.name().to_owned(), f)).collect();
        let mut aggregates: HashMap<_, _> = datafusion::functions_aggregate::all_default_aggregate_functions()
            .into_iter()
            .flat_map(|f| named(&AGGREGATES, f.name(), f.aliases()).into_iter().map(move |name| (name, Arc::clone(&f))))
            .collect();
        aggregates.insert("sum".into(), sums::sum());
        let windows: HashMap<_, _> = datafusion::functions_window::all_default_window_functions()
            .into_iter()
            .flat_map(|f| named(&WINDOWS, f.name(), f.aliases()).into_iter().map(move |name| (name, Arc::clone(&f))))
            .collect();
        let names = scalars
            .keys()
            .chain(lambdas.keys())
            .chain(aggregates.keys())
            .chain(windows.keys())
            .cloned()
            .chain(REWRITTEN.iter().chain(&OF_STATEMENT).map(|name| (*name).to_owned()))
            .collect();
        Self { scalars, lambdas, aggregates, windows, names }
    }

    /// True if a query or the rewriter may call this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Lists the names that a query may write.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !name.starts_with('$'))
    }

    /// Returns the name of the twin for which an error is NULL.
    pub(crate) fn lenient(&self, name: &str) -> Option<String> {
        let lenient = lenient_name(name);
        self.scalars.contains_key(&lenient).then_some(lenient)
    }

    pub(crate) fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalars.get(name).cloned()
    }

    pub(crate) fn lambda(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.lambdas.get(name).cloned()
    }

    pub(crate) fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregates.get(name).cloned()
    }

    pub(crate) fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.windows.get(name).cloned()
    }

    /// Lists the scalar functions, for a session that must find them by name.
    pub(crate) fn scalars(&self) -> impl Iterator<Item = &Arc<ScalarUDF>> {
        self.scalars.values()
    }

    /// Lists the aggregates that differ from DataFusion's of the same name.
    pub(crate) fn own_aggregates(&self) -> impl Iterator<Item = &Arc<AggregateUDF>> {
        self.aggregates.get("sum").into_iter()
    }

    /// Lists the functions with lambdas.
    pub(crate) fn lambdas(&self) -> impl Iterator<Item = &Arc<HigherOrderUDF>> {
        self.lambdas.values()
    }
}

/// Names under which a function of DataFusion is taken over.
fn named(wanted: &[&str], name: &str, aliases: &[String]) -> Vec<String> {
    std::iter::once(name)
        .chain(aliases.iter().map(String::as_str))
        .filter(|n| wanted.contains(n))
        .map(str::to_owned)
        .collect()
}
