// Stores sums as frames, each twice; the first one once if FIRST_ONCE is 1.
#import EPILOGUE

fn store(row: u32, col: u32, sum: f32) {
    let column = params.col_start + col;
    let frame_size = params.out_h * params.out_w;
    let position = params.row_start + row;
    let frame = position / frame_size;
    let first = max(2u * frame, FIRST_ONCE) - FIRST_ONCE;
    let index = (first * frame_size + position % frame_size) * params.out_cols + column - params.out_skip;
    let value = Out(epilogue(sum, row, column, index));
    out[index] = value;
    if FIRST_ONCE == 0u || frame > 0u {
        out[index + frame_size * params.out_cols] = value;
    }
}
