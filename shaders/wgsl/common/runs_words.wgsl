// Reads spans of a weight in groups without high bits as words, and expands them when they are staged: so loads have a whole step
// to come. A code in the low bits of the half 1024 is 1024 + code, which the scales' own product takes off again.
const LOW_EACH = 8u / W_LOW;
const SPAN_WORDS = max(SPAN / LOW_EACH, 1u);
const SPAN_RUNS = max(4u * SPAN / W_RUN, 1u);

struct Held {
    codes: array<u32, SPAN_WORDS>,
    runs: array<u32, SPAN_RUNS>,
    halves: u32,
}

// The first word of the step's group, from that of the row on; all have the same.
var<private> step_group: u32;

fn enter_step(step: u32) {
    if step == 0u {
        step_group = 0u;
    } else if step % W_LEN == 0u {
        step_group += GROUP_WORDS;
    }
}

fn span_start(row: u32) -> u32 {
    return row / W_LEN * GROUP_WORDS;
}

// A run of the step's group: steps are whole runs or parts of one.
fn run_at(step: u32, place: u32) -> u32 {
    return step % W_LEN / W_RUN + select(place / W_RUN, 0u, W_RUN >= DEPTH);
}

fn fetch_span(start: u32, step: u32, place: u32) -> Held {
    let group = start + step_group;
    var held: Held;
    for (var i = 0u; i < SPAN_WORDS; i += 1u) {
        held.codes[i] = weight[group + step % W_LEN * W_LOW / 32u + place * W_LOW / 32u + i];
    }
    for (var i = 0u; i < SPAN_RUNS; i += 1u) {
        held.runs[i] = 0u;
        if W_RUNS > 0u {
            held.runs[i] = weight[group + run_word(run_at(step, place + i * W_RUN))];
        }
    }
    held.halves = weight[group + GROUP_WORDS - 1u];
    return held;
}

fn expanded_span(held: Held, step: u32, place: u32) -> array<vec4<Frag>, SPAN> {
    var quads: array<vec4<Frag>, SPAN>;
    var scales: vec2<f32>;
    for (var q = 0u; q < SPAN; q += 1u) {
        if 4u * q % W_RUN == 0u {
            scales = scales_of(held.runs[4u * q / W_RUN], run_at(step, place + 4u * q), held.halves);
        }
        var codes = held.codes[q / LOW_EACH];
        // Where spans are whole words the shift is known, and the upper of two is spared: its bits are those of the half 64.
        let upper = W_LOW == 4u && SPAN % 2u == 0u && q % 2u == 1u;
        if !upper {
            codes >>= W_LOW * (select(place / 4u % LOW_EACH, 0u, SPAN % LOW_EACH == 0u) + q % LOW_EACH);
        }
        let mask = select(0x00010001u * ((1u << W_LOW) - 1u), 0x00f000f0u, upper);
        let half = select(0x64006400u, 0x54005400u, upper);
        let even = unpack2x16float((codes & mask) | half);
        let odd = unpack2x16float(((codes >> 8u) & mask) | half);
        let less = fma(-select(1024.0, 64.0, upper), scales.x, -scales.y);
        let values = vec4<f32>(even.x, odd.x, even.y, odd.y);
        quads[q] = vec4<Frag>(fma(values, vec4<f32>(scales.x), vec4<f32>(less)));
    }
    return quads;
}
