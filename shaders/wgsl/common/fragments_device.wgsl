// Fragments: matrices of SIZE by SIZE that a subgroup of LANES invocations holds and multiplies together. All of a subgroup
// must come to each of these calls. `fragments_emulated` says in loops what each means.
//
// The importer has workgroup arrays `tiles` of Frag and `sum_tile` of f32, and SUBGROUPS, the subgroups of a workgroup.
// Places and pitches are multiples of 16 bytes.

// Whether left operands must stay in the tile that they were loaded from.
const QUERIES_STAY: u32 = 0u;

// Which subgroup of its workgroup an invocation belongs to, and where in it.
fn own_subgroup(index: u32, subgroup: u32) -> u32 {
    return subgroup % SUBGROUPS;
}

fn own_lane(index: u32, lane: u32) -> u32 {
    return lane;
}

// Zero if subgroups have the size that was planned for, else NaN: added to what is stored, so that whoever reads it sees that.
fn spoiled(subgroups: u32) -> f32 {
    if subgroups == SUBGROUPS {
        return 0.0;
    }
    return bitcast<f32>(0x7fc00000u | subgroups);
}

// A left operand, row i from `at + i * pitch` on.
fn left_rows(at: u32, pitch: u32) -> FragA {
    return coopLoadT<FragA>(&tiles[at], pitch);
}

// A right operand, column j from `at + j * pitch` on.
fn right_columns(at: u32, pitch: u32) -> FragB {
    return coopLoad<FragB>(&tiles[at], pitch);
}

// A right operand, row k from `at + k * pitch` on.
fn right_rows(at: u32, pitch: u32) -> FragB {
    return coopLoadT<FragB>(&tiles[at], pitch);
}

// Sums, row i from `at + i * pitch` on.
fn load_sums(at: u32, pitch: u32, lane: u32) -> FragC {
    return coopLoadT<FragC>(&sum_tile[at], pitch);
}

fn store_sums(sums: FragC, at: u32, pitch: u32, lane: u32) {
    coopStoreT(sums, &sum_tile[at], pitch);
}

// left * right + sums
fn multiply_add(left: FragA, right: FragB, sums: FragC, lane: u32) -> FragC {
    return coopMultiplyAdd(left, right, sums);
}
