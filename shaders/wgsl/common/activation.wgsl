// Activations in the form x * sigmoid(..), whose exponent is clamped so that nothing overflows.

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(min(-x, 80.0)));
}

// GELU in its tanh form: 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3).
fn gelu_tanh(x: f32) -> f32 {
    let t = clamp(x, -20.0, 20.0);
    let u = 0.7978845608028654 * (t + 0.044715 * t * t * t);
    return x / (1.0 + exp(min(-2.0 * u, 80.0)));
}

// What is not a number stays so.
fn relu(x: f32) -> f32 {
    return select(x, 0.0, x < 0.0);
}

// ACTIVATION: 0 none, 1 GELU (tanh form), 2 SiLU, 3 ReLU.
fn activation(x: f32) -> f32 {
    if ACTIVATION == 1u {
        return gelu_tanh(x);
    }
    if ACTIVATION == 2u {
        return silu(x);
    }
    if ACTIVATION == 3u {
        return relu(x);
    }
    return x;
}
