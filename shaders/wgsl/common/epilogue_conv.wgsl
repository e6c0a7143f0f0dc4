// What happens to a sum of a convolution before it is stored: out = residual + activation(partial + sum + bias).
// HAS_BIAS: 0 or 1. RESIDUAL: 0 none, 1 from `residual`, 2 what `out` holds.
// HAS_PARTIAL 1: `partial`, [rows, out_cols], holds the sum over the taps of earlier launches.
#import activation

// `col` counts columns of the whole result, `index` elements of out and residual.
fn epilogue(sum: f32, row: u32, col: u32, index: u32) -> f32 {
    var y = sum;
    if HAS_PARTIAL != 0u {
        y += partial[row * params.out_cols + col];
    }
    if HAS_BIAS != 0u {
        y += bias[col];
    }
    y = activation(y);
    if RESIDUAL == 1u {
        y += f32(residual[index]);
    } else if RESIDUAL == 2u {
        y += f32(out[index]);
    }
    return y;
}
