//! Products that are added to some rows of a residual.
use super::{Sizes, product, tolerance};
use crate::{Case, CaseInput};
use engine::{
    DType,
    compute::ops::{Gate, MatmulOptions, Split},
};

/// All cases of a size.
pub(super) fn cases(sizes: Sizes) -> [Case; 2] {
    [Strips::InPlace, Strips::Beside].map(|kind| case(sizes, kind))
}

/// What becomes of the rows around a strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strips {
    /// The result takes the residual's buffer over.
    InPlace,
    /// The residual is wanted afterwards: its rows are copied.
    Beside,
}

/// Products that are added to rows 0.. and 128.. of a residual, gated; rows between and behind stay as they are.
fn case(sizes: Sizes, kind: Strips) -> Case {
    let Sizes { rows, cols, k, dtypes: [x, weight, out] } = sizes;
    let all = 128 + rows + 5;
    let gate_of = |row: usize| usize::from(row < 3);
    Case::new(
        format!("matmul/strips of {rows} {kind:?}/{x}-{weight}-{out}"),
        vec![
            CaseInput::activation(&[rows, k], x),
            CaseInput::matrix(&[cols, k], weight),
            CaseInput::activation(&[2, cols], DType::F32),
            CaseInput::activation(&[all, k], x),
        ],
        move |graph, ids| {
            let start = graph.matmul(ids[3], ids[1], &MatmulOptions::new(out))?;
            let gate = Some(Gate { table: ids[2], row: 0, split: Some(Split { rows: 3, offset: 1 }) });
            let mut sum = start;
            for first in [0, 128] {
                let options = MatmulOptions { residual: Some(sum), gate, ..MatmulOptions::new(out) };
                sum = graph.matmul(ids[0], ids[1], &MatmulOptions { first_row: Some(first), ..options })?;
            }
            if kind == Strips::Beside { graph.add(sum, start) } else { Ok(sum) }
        },
        move |data| {
            let added = product(&data[0], &data[1], k);
            let mut y = product(&data[3], &data[1], k);
            let start = y.clone();
            for first in [0, 128] {
                for (i, added) in added.iter().enumerate() {
                    y[first * cols + i] += data[2][gate_of(first + i / cols) * cols + i % cols] * added;
                }
            }
            if kind == Strips::Beside {
                y.iter_mut().zip(start).for_each(|(y, start)| *y += start);
            }
            y
        },
        tolerance(out),
    )
}
