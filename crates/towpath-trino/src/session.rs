//! Sessions that know Trino's functions by name.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::functions::registry;

/// Builds a session in which plans of this crate can run, be serialized and be read back.
pub fn session_context(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let mut state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    // A function that cannot be registered only matters to a plan read back by name, which will then say so.
    let _ = register_functions(&mut state);
    SessionContext::new_with_state(state)
}

/// Registers Trino's functions by name, in place of DataFusion's of the same name.
pub fn register_functions(registry_of_session: &mut dyn FunctionRegistry) -> Result<()> {
    for function in registry().scalars() {
        registry_of_session.register_udf(Arc::clone(function))?;
    }
    for function in registry().lambdas() {
        registry_of_session.register_higher_order_function(Arc::clone(function))?;
    }
    for function in registry().own_aggregates() {
        registry_of_session.register_udaf(Arc::clone(function))?;
    }
    Ok(())
}
