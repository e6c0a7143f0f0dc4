// Data are handled four elements at a time: every row is a multiple of four.
alias Value = vec4<f32>;
alias XUnit = vec4<X>;
alias OutUnit = vec4<Out>;

fn dot_self(v: Value) -> f32 {
    return dot(v, v);
}

fn total_of(v: Value) -> f32 {
    return v.x + v.y + (v.z + v.w);
}

fn first_of(v: Value) -> f32 {
    return v.x;
}
