// Reads a matrix stored in groups of W_LEN values that share scales, laid out in whole words (the engine's `Grouping` does that):
// low bits of the codes, high bits, scales and minima of runs of W_RUN values, then two halves: the group's scale and minimum.
// The codes of four neighbours are the bytes of a word once that is shifted and masked.
//   W_LOW, W_HIGH: bits of a code in either place
//   W_ZERO: the code of zero; with it there is no minimum
//   W_TABLE: 1 where codes are places in a table
//   W_RUNS: how the scales of runs lie in W_RUN_WORDS words: 0 none, 1 signed bytes, 2 a byte for the scale and one for the minimum,
//     3 both in one byte, the scale low
#import group_quads

const LOW_WORDS = W_LEN * W_LOW / 32u;
const HIGH_WORDS = W_LEN * W_HIGH / 32u;
const GROUP_WORDS = LOW_WORDS + HIGH_WORDS + W_RUN_WORDS + 1u;

// What the codes of the run that holds element `index` are multiplied by, and what is subtracted then. Exact but for the minimum.
fn group_scales(index: u32) -> vec2<f32> {
    let start = index / W_LEN * GROUP_WORDS;
    let run = index % W_LEN / W_RUN;
    var word = 0u;
    if W_RUNS > 0u {
        word = weight[start + run_word(run)];
    }
    return scales_of(word, run, weight[start + GROUP_WORDS - 1u]);
}

// The word of a group that holds the scales of a run.
fn run_word(run: u32) -> u32 {
    return LOW_WORDS + HIGH_WORDS + run / select(4u, 2u, W_RUNS == 2u);
}

// What `group_scales` says, of that word and the group's last.
fn scales_of(word: u32, run: u32, halves: u32) -> vec2<f32> {
    var scales = unpack2x16float(halves);
    if W_RUNS == 1u {
        scales.x *= f32(extractBits(bitcast<i32>(word), 8u * (run % 4u), 8u));
    }
    if W_RUNS == 2u {
        let both = word >> (16u * (run % 2u));
        scales *= vec2<f32>(f32(both & 0xffu), f32((both >> 8u) & 0xffu));
    }
    if W_RUNS == 3u {
        let both = word >> (8u * (run % 4u));
        scales *= vec2<f32>(f32(both & 15u), f32((both >> 4u) & 15u));
    }
    if W_ZERO > 0u {
        scales.y = f32(W_ZERO) * scales.x;
    }
    return scales;
}

// The quad that holds element `index`, of a run with these scales.
fn group_values(index: u32, scales: vec2<f32>) -> vec4<f32> {
    let start = index / W_LEN * GROUP_WORDS;
    let quad = index % W_LEN / 4u;
    var codes = weight[start + quad * W_LOW / 8u];
    if W_LOW < 8u {
        codes = low_bits(codes >> (W_LOW * (quad % (8u / W_LOW))), W_LOW);
    }
    codes |= high_codes(start, quad);
    let values = (vec4<u32>(codes) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    if W_TABLE == 1u {
        return vec4<f32>(table_values(values)) * scales.x;
    }
    return vec4<f32>(values) * scales.x - scales.y;
}

// The low bits of every byte.
fn low_bits(codes: u32, bits: u32) -> u32 {
    return codes & (0x01010101u * ((1u << bits) - 1u));
}

// The high bits of a quad's codes, in their places.
fn high_codes(start: u32, quad: u32) -> u32 {
    if W_HIGH == 0u {
        return 0u;
    }
    let each = 8u / max(W_HIGH, 1u);
    let bits = weight[start + LOW_WORDS + quad / each] >> (W_HIGH * (quad % each));
    return low_bits(bits, W_HIGH) << (W_LOW % 8u);
}

// What the places of IQ4_NL stand for, four bytes to a word.
fn table_values(places: vec4<u32>) -> vec4<i32> {
    let odd = (places & vec4<u32>(4u)) != vec4<u32>(0u);
    let low = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), odd);
    let high = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), odd);
    let words = select(low, high, places >= vec4<u32>(8u));
    let bytes = words >> (8u * (places % vec4<u32>(4u)));
    return bitcast<vec4<i32>>(bytes << vec4<u32>(24u)) >> vec4<u32>(24u);
}
