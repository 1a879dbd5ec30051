//! The sets of scenes.

use serde::{Deserialize, Serialize};

/// Disjoint sets of scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// For training.
    Train = 1,
    /// For choosing a checkpoint.
    Validation = 2,
    /// For reported results.
    Test = 3,
}
