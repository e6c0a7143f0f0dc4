//! The forms that the matrix product core has, which of them a target may use, and which is likely the best.
use super::Product;
use crate::target::{Target, clamp_u32};
use shaders::Variant;
use std::fmt;

/// One form: the algorithm and its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Without workgroup memory: an invocation makes `rows` by `cols`; `lanes` of a workgroup's `invocations` share rows.
    Register { rows: u32, cols: u32, invocations: u32, lanes: u32 },
    /// Through workgroup memory: each of 16 x 16 invocations makes `rows` by `cols`.
    Shared { rows: u32, cols: u32 },
}

/// Invocations of a workgroup that share nothing: in software Vulkan, and on a GPU.
const LONE_LANES: u32 = 8;
const LONE_INVOCATIONS: u32 = 64;

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { rows, cols, invocations, lanes: 1 } => {
                write!(f, "register {rows}x{cols}, {invocations} alone")
            }
            Self::Register { rows, cols, lanes, .. } => write!(f, "register {rows}x{cols}, {lanes} together"),
            Self::Shared { rows, cols } => write!(f, "shared {rows}x{cols}"),
        }
    }
}

impl Form {
    /// The part of the variant that says it.
    pub(super) fn variant(self) -> Variant {
        match self {
            Self::Register { rows, cols, invocations, lanes } => Variant::new()
                .constant("TILE_M", rows)
                .constant("TILE_N", cols)
                .constant("LANES", lanes)
                .constant("BAND", 8)
                .overriding("WG_X", invocations)
                .import("GEMM", "gemm_register")
                .import("SPREAD", if lanes == 1 { "spread_none" } else { "spread_subgroup" }),
            Self::Shared { rows, cols } => Variant::new()
                .constant("TILE_M", rows)
                .constant("TILE_N", cols)
                .constant("BAND", 8)
                .import("GEMM", "gemm_shared"),
        }
    }

    /// Rows and columns that one workgroup makes.
    pub(super) fn tile(self) -> [usize; 2] {
        match self {
            Self::Register { rows, cols, invocations, .. } => [rows as usize, (cols * invocations) as usize],
            Self::Shared { rows, cols } => [16 * rows as usize, 16 * cols as usize],
        }
    }

    /// Whether the target has the workgroup memory.
    fn fits(self, target: &Target) -> bool {
        match self {
            Self::Register { .. } => true,
            // Four planes of quads for each operand, padded by two.
            Self::Shared { rows, cols } => {
                4 * (16 * rows + 2 + 16 * cols + 2) * 16 <= target.max_workgroup_bytes
            }
        }
    }
}

impl Product<'_> {
    /// The legal forms, the likely best first.
    pub(super) fn forms(&self, target: &Target) -> Vec<Form> {
        let likely = if target.software { self.in_registers(target) } else { self.through_memory() };
        let mut forms = vec![likely];
        for form in self.others(target) {
            if !forms.contains(&form) && form.fits(target) {
                forms.push(form);
            }
        }
        forms
    }

    /// For software: `lanes` invocations share their rows where the subgroup is known.
    fn in_registers(&self, target: &Target) -> Form {
        let lanes = lanes(target);
        let invocations = if lanes == 1 { LONE_LANES } else { lanes };
        let rows = match lanes {
            1 => 4,
            2..=8 if self.rows <= 8 => 8,
            _ => 32,
        };
        let cols = if self.cols() <= invocations as usize { 1 } else { 4 };
        Form::Register { rows, cols, invocations, lanes }
    }

    /// For GPUs: the taller tile where there is work enough for all of one.
    fn through_memory(&self) -> Form {
        let tall = self.rows.div_ceil(128) * self.cols().div_ceil(64) >= 128;
        Form::Shared { rows: if tall { 8 } else { 4 }, cols: 4 }
    }

    /// What else may be tried. On software a form costs a second to translate: only those that can win are listed.
    fn others(&self, target: &Target) -> Vec<Form> {
        let together = |(rows, cols), lanes| Form::Register { rows, cols, invocations: lanes, lanes };
        let alone = |(rows, cols), invocations| Form::Register { rows, cols, invocations, lanes: 1 };
        let lanes = lanes(target);
        if target.software {
            return match lanes {
                1 => [(4, 4), (8, 4), (4, 2)].map(|tile| alone(tile, LONE_LANES)).to_vec(),
                _ => [(32, 4), (16, 4), (32, 2), (8, 4)]
                    .into_iter()
                    .filter(|(rows, _)| rows % lanes == 0)
                    .map(|tile| together(tile, lanes))
                    .collect(),
            };
        }
        let mut forms = Vec::new();
        if self.rows <= 16 {
            forms.extend([(1, 1), (2, 1), (4, 1), (4, 4)].map(|tile| alone(tile, LONE_INVOCATIONS)));
        }
        forms.extend([(8, 4), (4, 4), (4, 8), (8, 8)].map(|(rows, cols)| Form::Shared { rows, cols }));
        forms.push(alone((8, 4), LONE_INVOCATIONS));
        if lanes > 1 && clamp_u32(self.rows) > lanes / 2 {
            forms.push(together((32, 4), lanes));
        }
        forms
    }
}

/// The subgroup's size if it is known and of use, else one.
fn lanes(target: &Target) -> u32 {
    match target.subgroups {
        Some((least, most)) if least == most && matches!(least, 2 | 4 | 8 | 16 | 32) => least,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, TensorDesc};
    use std::collections::HashSet;

    #[test]
    fn forms_have_names_of_their_own_and_keep_to_the_target() {
        let (x, weight) = (TensorDesc::new(&[2048, 64], DType::F32), TensorDesc::new(&[512, 64], DType::F32));
        let browser = Target::webgpu_defaults();
        let roomy = Target { max_workgroup_bytes: 32 << 10, subgroups: Some((32, 32)), ..browser.clone() };
        let software = Target { software: true, subgroups: Some((8, 8)), ..browser.clone() };
        for target in [browser, roomy, software] {
            for rows in [1, 16, 2048] {
                let product = Product { x: &x, rows, weight: &weight, segment_length: 64, x_aligned: true };
                let forms = product.forms(&target);
                let names: HashSet<String> = forms.iter().map(ToString::to_string).collect();
                assert!(names.len() == forms.len() && forms.len() > 2, "{names:?}");
                assert!(forms.iter().all(|form| form.fits(&target)));
                let memory = names.contains("shared 8x8");
                assert_eq!(memory, target.max_workgroup_bytes == 32 << 10 && !target.software);
            }
        }
    }
}
