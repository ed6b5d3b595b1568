//! What the guard does after a supervisor that was killed: it removes the containers of the stack.

use tokio::runtime::Builder;

use crate::container;
use crate::model::StackContainers;

/// Returns the order for the guard.
pub(super) fn last_act(stack: &StackContainers) -> Vec<u8> {
    serde_json::to_vec(stack).expect("plain data always serializes")
}

/// Removes what a stack has in container engines. Blocks; for a forked process with one thread.
pub fn clean_up_after(order: &[u8]) {
    let Ok(stack) = serde_json::from_slice(order) else { return };
    if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
        // What is left is found by the next devstack, which has the record.
        let _ = runtime.block_on(container::remove_containers(&stack));
    }
}
