//! `ORDER BY eventtime DESC LIMIT n` over files and hot rows: each file scan learns that the newest rows are wanted
//! first.
//!
//! DataFusion hands a sort on to a scan, which then begins with the files and row groups that come first in the order,
//! so that the best `n` are soon known and rule out the rest. It does not hand it on through a union, which the plan of
//! a store is as soon as it has hot rows. This rule does.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;

/// Hands the order of a limited sort on to the inputs of the union below it.
#[derive(Debug, Default)]
pub(crate) struct SortThroughUnion;

impl PhysicalOptimizerRule for SortThroughUnion {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|plan| {
            let Some(sort) = plan.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_some()) else {
                return Ok(Transformed::no(plan));
            };
            let Some(union) = sort.input().downcast_ref::<UnionExec>() else {
                return Ok(Transformed::no(plan));
            };
            let mut changed = false;
            let mut inputs = Vec::with_capacity(union.inputs().len());
            for input in union.inputs() {
                let pushed = input.try_pushdown_sort(sort.expr())?.into_inner();
                changed |= pushed.is_some();
                inputs.push(pushed.unwrap_or_else(|| input.clone()));
            }
            if !changed {
                return Ok(Transformed::no(plan));
            }
            let sort = SortExec::new(sort.expr().clone(), UnionExec::try_new(inputs)?)
                .with_fetch(sort.fetch())
                .with_preserve_partitioning(sort.preserve_partitioning());
            Ok(Transformed::yes(Arc::new(sort) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "sort_through_union"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
