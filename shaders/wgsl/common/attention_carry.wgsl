// The state of each query between launches that take the keys in turns.

@group(0) @binding(6) var<storage, read_write> carry: array<f32>;        // [q_rows, heads, 4 DH4 + 2]

fn carried(at: u32) -> f32 {
    return carry[at];
}

fn carried_quad(at: u32) -> vec4<f32> {
    return vec4<f32>(carry[at], carry[at + 1u], carry[at + 2u], carry[at + 3u]);
}

fn carry_on(at: u32, value: f32) {
    carry[at] = value;
}

fn carry_quad_on(at: u32, value: vec4<f32>) {
    carry[at] = value.x;
    carry[at + 1u] = value.y;
    carry[at + 2u] = value.z;
    carry[at + 3u] = value.w;
}
