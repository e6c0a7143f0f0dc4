// Fetches both operands quad by quad: neighbours share a line of k.
alias WPlace = u32;
alias WHeld = array<vec4<Frag>, W_FETCH>;
const ONE_SEGMENT = false;
const W_LINES = W_FETCH;

fn w_place(first_col: u32, index: u32, i: u32) -> WPlace {
    return w_row(first_col + index / QUADS + i * LINE_STEP);
}

fn fetch_a(place: APlace, k: u32) -> vec4<Frag> {
    if k < params.segment_length {
        return vec4<Frag>(a_quad(place, k));
    }
    return vec4<Frag>(0.0);
}

fn fetch_w(places: ptr<function, array<WPlace, W_LINES>>, segment: u32, step: u32, index: u32) -> WHeld {
    let k = step + index % QUADS * 4u;
    var held: WHeld;
    for (var j = 0u; j < W_FETCH; j += 1u) {
        held[j] = vec4<Frag>(0.0);
        if k < params.segment_length {
            held[j] = vec4<Frag>(w_quad((*places)[j], segment, k));
        }
    }
    return held;
}

fn stage_w(held: ptr<function, WHeld>, step: u32, index: u32) {
    for (var j = 0u; j < W_FETCH; j += 1u) {
        put_w(index / QUADS + j * LINE_STEP, index % QUADS * 4u, (*held)[j]);
    }
}
