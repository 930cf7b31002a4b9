//! A plan that can be executed again after it was executed.
//!
//! A nested loop join whose first side does not fit into memory begins anew, with that side in pieces, and executes it a
//! second time. An exchange between threads below it hands out its rows once and panics at the second call, and a scan
//! goes on behind the files that it has read. Such a side is put into a [`Repeatable`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

/// A plan of one partition whose every execution starts from its beginning.
#[derive(Debug)]
pub(crate) struct Repeatable {
    plan: Arc<dyn ExecutionPlan>,
    executed: AtomicBool,
}

impl Repeatable {
    /// A nested loop join with its first side repeatable; any other plan as it is.
    pub(crate) fn in_join(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(nested) = join.downcast_ref::<NestedLoopJoinExec>() else { return Ok(join) };
        let first = Self { plan: nested.left().clone(), executed: AtomicBool::new(false) };
        let sides = vec![Arc::new(first) as Arc<dyn ExecutionPlan>, nested.right().clone()];
        join.replace_children(sides, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }
}

impl DisplayAs for Repeatable {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Repeatable")
    }
}

impl ExecutionPlan for Repeatable {
    fn name(&self) -> &str {
        "Repeatable"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = children.pop().ok_or_else(|| internal_datafusion_err!("a repeatable plan has one input"))?;
        Ok(Arc::new(Self { plan, executed: AtomicBool::new(false) }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.executed.swap(true, Ordering::Relaxed) {
            false => self.plan.execute(partition, context),
            true => reset_plan_states(self.plan.clone())?.execute(partition, context),
        }
    }
}
