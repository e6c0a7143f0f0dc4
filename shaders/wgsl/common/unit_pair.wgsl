// Data are handled two elements at a time: every row is a multiple of two.
alias Value = vec2<f32>;
alias XUnit = vec2<X>;
alias OutUnit = vec2<Out>;

fn dot_self(v: Value) -> f32 {
    return dot(v, v);
}

fn total_of(v: Value) -> f32 {
    return v.x + v.y;
}

fn first_of(v: Value) -> f32 {
    return v.x;
}
