//! The cases, one module per op, in alphabetical order.
use crate::Case;

/// Every case of every op.
pub fn all() -> Vec<Case> {
    let lists: Vec<Vec<Case>> = vec![];
    lists.into_iter().flatten().collect()
}
