// What happens to a sum of a matrix product before it is stored: out = residual + gate * (activation(sum + bias) * mul).
// HAS_BIAS, HAS_MUL: 0 or 1. HAS_GATE: 0, 1, or 2 for one row of gates for the first rows and another for the rest.
// RESIDUAL: 0 none, 1 from `residual`, 2 what `out` holds.
#import activation

// `col` counts columns of the whole result, `index` elements of out, residual and mul.
fn epilogue(sum: f32, row: u32, col: u32, index: u32) -> f32 {
    var y = sum;
    if HAS_BIAS != 0u {
        y += bias[col];
    }
    y = activation(y);
    if HAS_MUL != 0u {
        y *= f32(mul[index]);
    }
    if HAS_GATE == 1u {
        y *= gate[params.gate_start + col];
    } else if HAS_GATE == 2u {
        y *= gate[select(params.gate_start, params.split_start, row < params.split_rows) + col];
    }
    if RESIDUAL == 1u {
        y += f32(residual[index]);
    } else if RESIDUAL == 2u {
        y += f32(out[index]);
    }
    return y;
}
