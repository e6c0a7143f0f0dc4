//! The forms that the matrix product core has, which of them a target may use, and which is likely the best.
use super::{super::cooperative::Fragments, Product};
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
    /// On cooperative matrices: `subgroups` down and right, each of which makes `tile` fragments.
    Cooperative { fragments: Fragments, subgroups: [u32; 2], tile: [u32; 2] },
    /// For few rows: the `team` invocations of each of `teams` share the k of `rows` by `cols`; a lone team is a subgroup.
    Vector { rows: u32, cols: u32, team: u32, teams: u32 },
}

/// Invocations of a workgroup that share nothing: in software Vulkan, and on a GPU.
const LONE_LANES: u32 = 8;
const LONE_INVOCATIONS: u32 = 64;
/// Values of k that the form through workgroup memory stages at a time.
const SHARED_DEPTH: u32 = 16;
/// Registers of the form on cooperative matrices beside fragments and what it fetches, as counted in what AMD's compiler makes.
const OTHER_REGISTERS: u32 = 60;
/// Tiles that keep a large GPU busy.
const BUSY_TILES: usize = 128;
/// Rows at most of what counts as a product with a vector; from four rows on, software gains more by handing them round.
const VECTOR_ROWS: u32 = 4;
const SOFTWARE_VECTOR_ROWS: u32 = 2;

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { rows, cols, invocations, lanes: 1 } => {
                write!(f, "register {rows}x{cols}, {invocations} alone")
            }
            Self::Register { rows, cols, lanes, .. } => write!(f, "register {rows}x{cols}, {lanes} together"),
            Self::Shared { rows, cols } => write!(f, "shared {rows}x{cols}"),
            Self::Cooperative { fragments, subgroups: [down, right], tile: [rows, cols] } => {
                write!(f, "{fragments}, {down}x{right} of {rows}x{cols}")
            }
            Self::Vector { rows, cols, team, teams } => write!(f, "vector {rows}x{cols}, {teams} of {team}"),
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
                .constant("DEPTH", SHARED_DEPTH)
                .constant("BAND", 8)
                .import("GEMM", "gemm_shared")
                .import("FETCH", "fetch_quads"),
            Self::Cooperative { fragments, subgroups, tile } => {
                let variant = Variant::new()
                    .constant("SUB_M", subgroups[0])
                    .constant("SUB_N", subgroups[1])
                    .constant("FRAG_M", tile[0])
                    .constant("FRAG_N", tile[1])
                    .constant("DEPTH", depth(fragments))
                    .constant("BAND", 8)
                    .import("GEMM", "gemm_cooperative")
                    .import("FETCH", "fetch_quads");
                fragments.variant(variant)
            }
            Self::Vector { rows, cols, team, teams } => Variant::new()
                .constant("TILE_M", rows)
                .constant("TILE_N", cols)
                .constant("TEAM", team)
                .constant("TEAMS", teams)
                .import("GEMM", "gemm_vector")
                .import("SHARE", if teams == 1 { "share_subgroup" } else { "share_memory" }),
        }
    }

    /// Whether operands are staged in f16, so that weights in f16 are moved as they are.
    pub(super) fn stages_halves(self) -> bool {
        matches!(self, Self::Cooperative { fragments, .. } if fragments.bytes() == 2)
    }

    /// Rows and columns that one workgroup makes.
    pub(super) fn tile(self) -> [usize; 2] {
        match self {
            Self::Register { rows, cols, invocations, .. } => [rows as usize, (cols * invocations) as usize],
            Self::Shared { rows, cols } => [16 * rows as usize, 16 * cols as usize],
            Self::Cooperative { fragments, subgroups, tile } => {
                [0, 1].map(|axis| (subgroups[axis] * tile[axis] * fragments.size) as usize)
            }
            Self::Vector { rows, cols, teams, .. } => [rows as usize, (cols * teams) as usize],
        }
    }

    /// Whether the target has the workgroup memory, the invocations and the registers.
    fn fits(self, target: &Target) -> bool {
        match self {
            Self::Register { .. } => true,
            // Four planes of quads for each operand, padded by two.
            Self::Shared { rows, cols } => {
                4 * (16 * rows + 2 + 16 * cols + 2) * 16 <= target.max_workgroup_bytes
            }
            // Lines of both operands, and a fragment of sums for each subgroup. Fetching is shared out evenly.
            Self::Cooperative { fragments, subgroups: [down, right], tile } => {
                let [rows, cols] = self.tile().map(clamp_u32);
                let (quads, invocations) = (depth(fragments) / 4, down * right * fragments.lanes);
                let operands = (rows + cols) * (depth(fragments) + fragments.pad()) * fragments.bytes();
                let sums = down * right * fragments.size * fragments.size * 4;
                let fetched = (rows + cols) * quads / invocations * fragments.bytes();
                let registers = tile[0] * tile[1] * fragments.sum_registers()
                    + (tile[0] + 1) * fragments.operand_registers()
                    + fetched
                    + OTHER_REGISTERS;
                operands + sums <= target.max_workgroup_bytes
                    && registers <= target.registers
                    && invocations <= target.max_invocations
                    && [rows, cols].iter().all(|lines| (lines * quads).is_multiple_of(invocations))
            }
            Self::Vector { teams: 1, .. } => true,
            Self::Vector { rows, cols, team, teams } => {
                4 * rows * cols * team * teams <= target.max_workgroup_bytes
            }
        }
    }
}

impl Product<'_> {
    /// The legal forms, the best of those without cooperative matrices first, and the place of the likely best.
    pub(super) fn forms(&self, target: &Target) -> (Vec<Form>, usize) {
        let likely = match target.barriers_are_dear() {
            true => self.vectors(target).first().copied().unwrap_or_else(|| self.in_registers(target)),
            false => self.through_memory(),
        };
        let mut forms = vec![likely];
        for form in self.others(target) {
            if !forms.contains(&form) && form.fits(target) {
                forms.push(form);
            }
        }
        let likely = self.on_matrices(&forms);
        (forms, likely.unwrap_or(0))
    }

    /// The place of the largest tile of proven matrices that leaves work for a device of some size; the smallest, if none does.
    fn on_matrices(&self, forms: &[Form]) -> Option<usize> {
        let proven = |form: &Form| matches!(form, Form::Cooperative { fragments, .. } if fragments.proven);
        // Of equal tiles the one of fewer subgroups loads fewer operands for a product.
        let area = |index: &usize| {
            let Form::Cooperative { tile, .. } = forms[*index] else { return (0, 0) };
            (forms[*index].tile().iter().product::<usize>(), tile[0] * tile[1])
        };
        let all = || (0..forms.len()).filter(|index| proven(&forms[*index]));
        let busy = |index: &usize| {
            let [rows, cols] = forms[*index].tile();
            self.rows.div_ceil(rows) * self.cols().div_ceil(cols) >= BUSY_TILES
        };
        all().filter(busy).max_by_key(area).or_else(|| all().min_by_key(area))
    }

    /// For software, if there are more than a few rows: `lanes` invocations share their rows where the subgroup is known.
    fn in_registers(&self, target: &Target) -> Form {
        let lanes = lanes(target);
        let invocations = if lanes == 1 { LONE_LANES } else { lanes };
        let rows = match lanes {
            1 => 4,
            2..=8 if self.rows <= 8 => 8,
            _ => 32,
        };
        let cols = match self.cols().div_ceil(invocations as usize) {
            0..=1 => 1,
            2 => 2,
            _ => 4,
        };
        Form::Register { rows, cols, invocations, lanes }
    }

    /// For GPUs: the taller tile where there is work enough for all of one.
    fn through_memory(&self) -> Form {
        let tall = self.rows.div_ceil(128) * self.cols().div_ceil(64) >= BUSY_TILES;
        Form::Shared { rows: if tall { 8 } else { 4 }, cols: 4 }
    }

    /// What else may be tried. On software a form costs a second to translate: only those that can win are listed.
    fn others(&self, target: &Target) -> Vec<Form> {
        let together = |(rows, cols), lanes| Form::Register { rows, cols, invocations: lanes, lanes };
        let alone = |(rows, cols), invocations| Form::Register { rows, cols, invocations, lanes: 1 };
        let lanes = lanes(target);
        let mut forms = self.vectors(target);
        if target.translates_slowly() {
            forms.extend(match lanes {
                1 => [(4, 4), (8, 4), (4, 2)].map(|tile| alone(tile, LONE_LANES)).to_vec(),
                _ => [(32, 4), (16, 4), (32, 2), (8, 4)]
                    .into_iter()
                    .filter(|(rows, _)| rows % lanes == 0)
                    .map(|tile| together(tile, lanes))
                    .collect(),
            });
            return forms;
        }
        if self.rows <= 16 {
            forms.extend([(1, 1), (2, 1), (4, 1), (4, 4)].map(|tile| alone(tile, LONE_INVOCATIONS)));
        }
        forms.extend([(8, 4), (4, 4), (4, 8), (8, 8)].map(|(rows, cols)| Form::Shared { rows, cols }));
        forms.push(alone((8, 4), LONE_INVOCATIONS));
        forms.extend(self.cooperative(target));
        if lanes > 1 && clamp_u32(self.rows) > lanes / 2 {
            forms.push(together((32, 4), lanes));
        }
        forms
    }

    /// On cooperative matrices, where there are rows and values enough for some of them.
    fn cooperative(&self, target: &Target) -> Vec<Form> {
        let worth =
            |fragments: &Fragments| self.rows > 16 && 2 * self.segment_length >= depth(*fragments) as usize;
        let mut forms = Vec::new();
        for fragments in Fragments::of(target, &[self.x]).into_iter().filter(worth) {
            let tiles: &[[u32; 2]] =
                if fragments.size == 16 { &[[2, 2], [4, 2], [4, 4]] } else { &[[4, 4], [4, 8], [8, 4]] };
            let of = |subgroups, tile| Form::Cooperative { fragments, subgroups, tile };
            forms.extend(tiles.iter().map(|tile| of([2, 2], *tile)));
            if fragments.size == 16 {
                forms.push(of([2, 4], [4, 2]));
            }
        }
        forms
    }
}

/// Values of k that a form on cooperative matrices stages at a time.
fn depth(fragments: Fragments) -> u32 {
    2 * fragments.size
}

impl Product<'_> {
    /// For so few rows that reading the weights is all the work, where a row lies in one piece.
    fn vectors(&self, target: &Target) -> Vec<Form> {
        let rows = clamp_u32(self.rows.clamp(1, 1 << 16)).next_power_of_two();
        let most = if target.has_few_cores() { SOFTWARE_VECTOR_ROWS } else { VECTOR_ROWS };
        if rows > most || self.segment_length != self.k() {
            return Vec::new();
        }
        let lanes = lanes(target);
        let mut forms = Vec::new();
        if lanes > 1 {
            forms.extend([4, 2, 8].map(|cols| Form::Vector { rows, cols, team: lanes, teams: 1 }));
        }
        if !target.barriers_are_dear() {
            let teams = [(1, 32, 4), (2, 32, 4), (4, 32, 2), (2, 16, 8)];
            forms.extend(teams.map(|(cols, team, teams)| Form::Vector { rows, cols, team, teams }));
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
    use crate::{
        target::CooperativeMatrices,
        tensor::{DType, TensorDesc},
    };
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
                let forms = product.forms(&target).0;
                let names: HashSet<String> = forms.iter().map(ToString::to_string).collect();
                assert!(names.len() == forms.len() && forms.len() > 2, "{names:?}");
                assert!(forms.iter().all(|form| form.fits(&target)));
                let memory = names.contains("shared 8x8");
                assert_eq!(memory, target.max_workgroup_bytes == 32 << 10 && !target.software);
            }
        }
    }

    #[test]
    fn software_makes_no_more_columns_than_there_are() {
        let target = Target { software: true, subgroups: Some((8, 8)), ..Target::webgpu_defaults() };
        let cols = |cols: usize| {
            let (x, weight) =
                (TensorDesc::new(&[2048, 64], DType::F32), TensorDesc::new(&[cols, 64], DType::F32));
            let product = Product { x: &x, rows: 2048, weight: &weight, segment_length: 64, x_aligned: true };
            product.forms(&target).0[0].tile()[1]
        };
        assert_eq!([3, 8, 12, 16, 17, 64].map(cols), [8, 8, 16, 16, 32, 32]);
    }

    #[test]
    fn cooperative_matrices_are_not_for_software_or_other_dtypes_and_nothing_that_spills() {
        let cooperative =
            vec![CooperativeMatrices { size: 16, operands: DType::F16, emulated: false, proven_lanes: None }];
        let card = Target {
            max_workgroup_bytes: 48 << 10,
            subgroups: Some((32, 32)),
            cooperative,
            ..Target::webgpu_defaults()
        };
        let weight = TensorDesc::new(&[512, 64], DType::Bf16);
        let tiles = |target: &Target, dtype: DType, rows: usize| -> Vec<[usize; 2]> {
            let x = TensorDesc::new(&[rows, 64], dtype);
            let product = Product { x: &x, rows, weight: &weight, segment_length: 64, x_aligned: true };
            let (forms, likely) = product.forms(target);
            assert_eq!(likely, 0, "nothing is proven");
            assert!(!matches!(forms[0], Form::Cooperative { .. }));
            let cooperative = forms.into_iter().filter(|form| matches!(form, Form::Cooperative { .. }));
            cooperative.map(Form::tile).collect()
        };
        assert_eq!(tiles(&card, DType::F16, 2048), [[64, 64], [128, 64], [128, 128]]);
        assert_eq!(
            tiles(&Target { max_workgroup_bytes: 16 << 10, ..card.clone() }, DType::F16, 17),
            [[64, 64]]
        );
        assert!(tiles(&card, DType::F16, 16).is_empty());
        assert!(tiles(&card, DType::F32, 2048).is_empty());
        assert!(tiles(&Target { software: true, ..card.clone() }, DType::F16, 2048).is_empty());
        assert!(tiles(&Target { subgroups: None, ..card.clone() }, DType::F16, 2048).is_empty());
    }
    #[test]
    fn proven_matrices_are_the_likely_best_in_tiles_that_keep_a_device_busy() {
        let matrices =
            CooperativeMatrices { size: 16, operands: DType::F16, emulated: false, proven_lanes: Some(64) };
        let card = Target {
            max_workgroup_bytes: 64 << 10,
            max_invocations: 1024,
            subgroups: Some((32, 64)),
            cooperative: vec![matrices],
            ..Target::webgpu_defaults()
        };
        let likely = |target: &Target, rows: usize, dtype: DType| {
            let (x, weight) =
                (TensorDesc::new(&[rows, 1536], dtype), TensorDesc::new(&[1536, 1536], DType::F16));
            let product = Product { x: &x, rows, weight: &weight, segment_length: 1536, x_aligned: true };
            let (forms, likely) = product.forms(target);
            forms[likely].to_string()
        };
        let name = |tile: &str| format!("cooperative 16 f16, 64 lanes, 2x2 of {tile}");
        assert_eq!(likely(&card, 4680, DType::F16), name("4x4"));
        assert_eq!(likely(&card, 1100, DType::F16), name("4x2"));
        assert_eq!(likely(&card, 77, DType::F16), name("2x2"));
        assert_eq!(likely(&card, 8, DType::F16), "shared 4x4");
        assert_eq!(likely(&card, 4680, DType::F32), "shared 8x4");
        // With fewer registers the largest tile would spill.
        let small = Target { registers: 160, ..card };
        assert_eq!(likely(&small, 4680, DType::F16), "cooperative 16 f16, 64 lanes, 2x4 of 4x2");
    }
}
