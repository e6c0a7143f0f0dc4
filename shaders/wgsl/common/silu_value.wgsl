// x * sigmoid(x) for a unit if SILU is 1, else x; the exponent is clamped so that nothing overflows.
fn silu_value(x: Value) -> Value {
    if SILU != 0u {
        return x / (Value(1.0) + exp(min(-x, Value(80.0))));
    }
    return x;
}
