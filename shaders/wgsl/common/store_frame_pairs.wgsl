// Stores sums as frames, two for each frame of the product: the first half of the columns is the earlier one.
#import EPILOGUE

fn store(row: u32, col: u32, sum: f32) {
    let column = params.col_start + col;
    let channels = params.out_cols / 2u;
    let frame_size = params.out_h * params.out_w;
    let position = params.row_start + row;
    let frame = 2u * (position / frame_size) + column / channels;
    let index = (frame * frame_size + position % frame_size) * channels + column % channels - params.out_skip;
    out[index] = Out(epilogue(sum, row, column, index));
}
