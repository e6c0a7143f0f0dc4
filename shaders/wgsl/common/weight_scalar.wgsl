// Reads a stored matrix element by element. W_FORMAT: 0 f32, 1 f16, 2 bf16; 16-bit elements lie two to a word, low half first.
alias WeightUnit = u32;
alias WeightQuad = vec4<f32>;

fn weight_at(index: u32) -> f32 {
    if W_FORMAT == 0u {
        return bitcast<f32>(weight[index]);
    }
    let half = (weight[index / 2u] >> (16u * (index & 1u))) & 0xffffu;
    if W_FORMAT == 1u {
        return unpack2x16float(half).x;
    }
    return bitcast<f32>(half << 16u);
}

// Elements index.. of the matrix, of which `left` exist (at least one); zeros behind them.
fn weight_quad(index: u32, left: u32) -> WeightQuad {
    let last = left - 1u;
    return vec4<f32>(
        weight_at(index),
        select(0.0, weight_at(index + min(1u, last)), left > 1u),
        select(0.0, weight_at(index + min(2u, last)), left > 2u),
        select(0.0, weight_at(index + min(3u, last)), left > 3u),
    );
}
