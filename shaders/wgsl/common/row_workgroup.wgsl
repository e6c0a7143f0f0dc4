// A workgroup per row: its invocations take turns with the columns and share their sums. WG is a power of two.
override WG: u32 = 64u;

var<workgroup> partial_sums: array<f32, WG>;

#import row_per_group

fn row_sum(value: f32, lane: u32) -> f32 {
    workgroupBarrier(); // The sum before may still be being read.
    partial_sums[lane] = value;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            partial_sums[lane] += partial_sums[lane + half];
        }
        workgroupBarrier();
    }
    return partial_sums[0];
}
