// Reads x element by element: for rows whose length or start is no multiple of four.
alias XUnit = X;
alias XQuad = vec4<f32>;

// Elements index.. of x, of which `left` exist (at least one); zeros behind them.
fn x_quad(index: u32, left: u32) -> XQuad {
    let last = left - 1u;
    return vec4<f32>(
        f32(x[index]),
        select(0.0, f32(x[index + min(1u, last)]), left > 1u),
        select(0.0, f32(x[index + min(2u, last)]), left > 2u),
        select(0.0, f32(x[index + min(3u, last)]), left > 3u),
    );
}
