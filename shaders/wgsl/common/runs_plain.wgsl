// Reads spans of a weight in groups as the quads of W_READ are.
alias Held = array<vec4<Frag>, SPAN>;

fn enter_step(step: u32) {
}

fn span_start(row: u32) -> u32 {
    return row;
}

fn fetch_span(start: u32, step: u32, place: u32) -> Held {
    var held: Held;
    var scales: vec2<f32>;
    for (var q = 0u; q < SPAN; q += 1u) {
        let index = start + step + place + 4u * q;
        if 4u * q % W_RUN == 0u {
            scales = group_scales(index);
        }
        held[q] = vec4<Frag>(group_values(index, scales));
    }
    return held;
}

fn expanded_span(held: Held, step: u32, place: u32) -> array<vec4<Frag>, SPAN> {
    return held;
}
