// Stores sums as latents: row (t, h, w), column (dt, dh, dw, channel) -> out[channel, t pt + dt, h ph + dh, w pw + dw].
#import EPILOGUE

fn store(row: u32, col: u32, sum: f32) {
    let column = params.col_start + col;
    let token = params.row_start + row;
    let grid_w = params.width / params.patch_w;
    let grid_h = params.height / params.patch_h;
    let w = token % grid_w;
    let h = token / grid_w % grid_h;
    let t = token / grid_w / grid_h;
    let channels = params.out_cols / (params.patch_t * params.patch_h * params.patch_w);
    let channel = column % channels;
    let offset = column / channels;
    let dw = offset % params.patch_w;
    let dh = offset / params.patch_w % params.patch_h;
    let dt = offset / params.patch_w / params.patch_h;
    let frame = channel * params.frames + t * params.patch_t + dt;
    let index = (frame * params.height + h * params.patch_h + dh) * params.width + w * params.patch_w + dw;
    out[index] = Out(epilogue(sum, row, column, index));
}
