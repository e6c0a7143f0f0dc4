// Fetches the left operand quad by quad, and of the weight a span of SPAN neighbouring quads of a row in each invocation. There is
// one segment, of whole groups, which DEPTH divides: no step goes beyond a row.
//
// SPAN_READ reads the weight, from value `step + place` of a row on:
//   span_start(row) -> u32: where a row begins, in its own units
//   enter_step(step): comes before a step is fetched, in their order
//   fetch_span(start, step, place) -> Held
//   expanded_span(held, step, place) -> array<vec4<Frag>, SPAN>
// where all of a workgroup have the same step, a multiple of DEPTH, and `place` is a multiple of 4 SPAN and less than DEPTH.
alias WPlace = u32;
const ONE_SEGMENT = true;
const SPAN = min(W_FETCH, QUADS);
const SPANS = QUADS / SPAN;
const W_LINES = W_FETCH / SPAN;
#import SPAN_READ
alias WHeld = array<Held, W_LINES>;

fn w_place(first_col: u32, index: u32, i: u32) -> WPlace {
    return span_start(w_row(first_col + index / SPANS + i * (INVOCATIONS / SPANS)));
}

fn fetch_a(place: APlace, k: u32) -> vec4<Frag> {
    return vec4<Frag>(a_quad(place, k));
}

fn fetch_w(places: ptr<function, array<WPlace, W_LINES>>, segment: u32, step: u32, index: u32) -> WHeld {
    enter_step(step);
    var held: WHeld;
    for (var i = 0u; i < W_LINES; i += 1u) {
        held[i] = fetch_span((*places)[i], step, index % SPANS * (4u * SPAN));
    }
    return held;
}

fn stage_w(held: ptr<function, WHeld>, step: u32, index: u32) {
    let place = index % SPANS * (4u * SPAN);
    for (var i = 0u; i < W_LINES; i += 1u) {
        let quads = expanded_span((*held)[i], step, place);
        let line = index / SPANS + i * (INVOCATIONS / SPANS);
        for (var q = 0u; q < SPAN; q += 1u) {
            put_w(line, place + 4u * q, quads[q]);
        }
    }
}
