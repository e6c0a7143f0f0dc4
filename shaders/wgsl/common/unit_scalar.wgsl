// Data are handled one element at a time: for rows whose length is no multiple of four.
alias Value = f32;
alias XUnit = X;
alias OutUnit = Out;

fn dot_self(v: Value) -> f32 {
    return v * v;
}

fn total_of(v: Value) -> f32 {
    return v;
}

fn first_of(v: Value) -> f32 {
    return v;
}
