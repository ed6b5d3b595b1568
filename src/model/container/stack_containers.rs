use serde::{Deserialize, Serialize};

use super::EngineAddress;

/// What a stack may have in container engines, for what cleans up after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackContainers {
    /// The token that marks everything of it.
    pub token: String,
    /// The engines; none: that is not recorded.
    pub engines: Vec<EngineAddress>,
    /// The names of containers and networks whose creation was under way: they may appear late.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creations: Vec<String>,
    /// The IDs of containers that commands of the stack have created themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<String>,
    /// The IDs of those of them that stay when they end: they were there before, or are of Compose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<String>,
}

impl StackContainers {
    /// A stack of which only the token is known.
    pub fn of_token(token: String) -> StackContainers {
        StackContainers { token, ..StackContainers::default() }
    }
}
