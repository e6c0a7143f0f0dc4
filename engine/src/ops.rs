//! One module per op, in alphabetical order.
