// Stores sums as rows: out[row, col_start + col].
#import EPILOGUE

fn store(row: u32, col: u32, sum: f32) {
    let column = params.col_start + col;
    let index = row * params.out_cols + column;
    out[index] = Out(epilogue(sum, row, column, index));
}
