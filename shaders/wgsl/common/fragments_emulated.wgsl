// What `fragments_device` means, in loops over workgroup memory: for devices without cooperative matrices, so that all that is
// around them can be run there. Slower than any other form. Any LANES neighbours pass for a subgroup.

// Operands stay where they are; they must not be overwritten while they are in use.
const QUERIES_STAY: u32 = 1u;

struct FragA {
    at: u32,
    row_step: u32,
}

struct FragB {
    at: u32,
    row_step: u32,
    column_step: u32,
}

// Every LANESth value of SIZE rows is an invocation's.
struct FragC {
    values: array<f32, SIZE * SIZE / LANES>,
}

fn own_subgroup(index: u32, subgroup: u32) -> u32 {
    return index / LANES;
}

fn own_lane(index: u32, lane: u32) -> u32 {
    return index % LANES;
}

fn spoiled(subgroups: u32) -> f32 {
    return 0.0;
}

fn left_rows(at: u32, pitch: u32) -> FragA {
    return FragA(at, pitch);
}

fn right_columns(at: u32, pitch: u32) -> FragB {
    return FragB(at, 1u, pitch);
}

fn right_rows(at: u32, pitch: u32) -> FragB {
    return FragB(at, pitch, 1u);
}

fn load_sums(at: u32, pitch: u32, lane: u32) -> FragC {
    var sums: FragC;
    for (var i = 0u; i < SIZE * SIZE / LANES; i += 1u) {
        let place = lane + i * LANES;
        sums.values[i] = sum_tile[at + place / SIZE * pitch + place % SIZE];
    }
    return sums;
}

fn store_sums(sums: FragC, at: u32, pitch: u32, lane: u32) {
    var stored = sums;
    for (var i = 0u; i < SIZE * SIZE / LANES; i += 1u) {
        let place = lane + i * LANES;
        sum_tile[at + place / SIZE * pitch + place % SIZE] = stored.values[i];
    }
}

fn multiply_add(left: FragA, right: FragB, sums: FragC, lane: u32) -> FragC {
    var added = sums;
    // A bound that no compiler knows: unrolled, this would take it minutes.
    let depth = min(SIZE, arrayLength(&out) + SIZE);
    for (var k = 0u; k < depth; k += 1u) {
        for (var i = 0u; i < SIZE * SIZE / LANES; i += 1u) {
            let place = lane + i * LANES;
            let row = left.at + place / SIZE * left.row_step;
            let column = right.at + place % SIZE * right.column_step;
            added.values[i] = fma(f32(tiles[row + k]), f32(tiles[column + k * right.row_step]), added.values[i]);
        }
    }
    return added;
}
