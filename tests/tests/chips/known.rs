//! Forms that still spill. The list may only shrink: a form belongs on it until it is no longer offered for its chip.

/// A form of a case on a chip, by parts of their names.
pub(crate) struct Known {
    pub(crate) chip: &'static str,
    pub(crate) case: &'static str,
    pub(crate) form: &'static str,
}

const fn known(chip: &'static str, case: &'static str, form: &'static str) -> Known {
    Known { chip, case, form }
}

pub(crate) const KNOWN_TO_SPILL: &[Known] = &[
    known("navi21", "384", "shared 16x8x4x4"),
    known("navi31", "384", "shared 16x8x4x4"),
    known("gfx1151", "384", "shared 16x8x4x4"),
];
