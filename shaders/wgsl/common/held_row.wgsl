// An invocation's share of a row: HELD units that are read once and stay in registers, or, if HELD is 0 because that would be too
// many, read again whenever they are needed.
//
// The importer has `load(index) -> Value` and `params.units`, the units of a row.
#import ROW

var<private> held: array<Value, max(HELD, 1u)>;

fn steps() -> u32 {
    if HELD != 0u {
        return HELD;
    }
    return (params.units + column_step() - 1u) / column_step();
}

// The unit at a step; none if it is no less than `params.units`.
fn unit_at(step: u32, lane: u32) -> u32 {
    return first_column(lane) + step * column_step();
}

fn fetch(index: u32, step: u32) -> Value {
    let value = load(index);
    if HELD != 0u {
        held[step] = value;
    }
    return value;
}

fn fetch_again(index: u32, step: u32) -> Value {
    if HELD != 0u {
        return held[step];
    }
    return load(index);
}
