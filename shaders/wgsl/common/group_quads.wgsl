// Four neighbours of a matrix stored in groups. The importer supplies
//   group_scales(index) -> vec2<f32>: what the values around an element are scaled by
//   group_values(index, scales) -> vec4<f32>: the aligned quad that holds an element
// W_WHOLE: 1 where only such quads are asked for.
alias WeightUnit = u32;
alias WeightQuad = vec4<f32>;

fn group_quad(index: u32) -> vec4<f32> {
    return group_values(index, group_scales(index));
}

// Elements index.. of the matrix, of which `left` exist (at least one); zeros behind them, where quads are not whole.
fn weight_quad(index: u32, left: u32) -> WeightQuad {
    let first = group_quad(index);
    if W_WHOLE == 1u {
        return first;
    }
    let count = min(left, 4u);
    let second = group_quad(index + count - 1u);
    var quad = vec4<f32>(0.0);
    for (var i = 0u; i < count; i += 1u) {
        let at = index % 4u + i;
        quad[i] = select(first[at % 4u], second[at % 4u], at >= 4u);
    }
    return quad;
}
