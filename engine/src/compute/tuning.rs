//! Which form of an op a device does best: plain data that a tuner has found and that lowering looks up.
use std::{collections::BTreeMap, fmt::Display, sync::Arc};

/// For each class of shapes, the form to use. Clones share it. An empty one leaves everything to the heuristics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning(Arc<BTreeMap<String, String>>);

/// What a lowering could choose between, whether anything has been measured or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Kernel, class of shapes, dtypes: what one measurement holds for.
    pub key: String,
    /// The legal forms by name. The first is the plainest: the others' results are compared with its own.
    pub forms: Vec<String>,
    /// Which of them the heuristic takes.
    pub likely: usize,
}

impl Tuning {
    /// Forms by key.
    pub fn new(forms: BTreeMap<String, String>) -> Self {
        Self(Arc::new(forms))
    }

    /// The same with one form fixed.
    #[must_use]
    pub fn with(&self, key: &str, form: &str) -> Self {
        let mut forms = (*self.0).clone();
        forms.insert(key.to_owned(), form.to_owned());
        Self::new(forms)
    }

    /// The form of this name if it is among the legal ones, else the heuristic's, whose place in `forms` is `likely`.
    ///
    /// `None` only if there is no such form.
    pub fn pick<F: Display + Clone>(&self, key: String, forms: &[F], likely: usize) -> Option<(F, Choice)> {
        let names: Vec<String> = forms.iter().map(ToString::to_string).collect();
        let wanted = self.0.get(&key);
        let index = wanted.and_then(|wanted| names.iter().position(|name| name == wanted)).unwrap_or(likely);
        forms.get(index).map(|form| (form.clone(), Choice { key, forms: names, likely }))
    }
}

/// Sizes are told apart by the power of two at or above them: forms win and lose by factors, not by rows.
pub(crate) fn size_class(size: usize) -> usize {
    size.max(1).checked_next_power_of_two().unwrap_or(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heuristic_decides_unless_a_legal_form_is_known() {
        let pick = |tuning: &Tuning| tuning.pick("k".to_owned(), &["a", "b"], 0).map(|(form, _)| form);
        assert_eq!(pick(&Tuning::default()), Some("a"));
        assert_eq!(pick(&Tuning::default().with("k", "b")), Some("b"));
        assert_eq!(pick(&Tuning::default().with("other", "b")), Some("a"));
        assert_eq!(pick(&Tuning::default().with("k", "of another version")), Some("a"));
        assert_eq!(Tuning::default().pick::<&str>("k".to_owned(), &[], 0), None);
        let likely = Tuning::default().pick("k".to_owned(), &["a", "b"], 1);
        assert!(likely.is_some_and(|(form, choice)| form == "b" && choice.likely == 1));
    }

    #[test]
    fn sizes_fall_into_classes() {
        assert_eq!([0, 1, 2, 3, 1536, 2048, 2049].map(size_class), [1, 1, 2, 4, 2048, 2048, 4096]);
    }
}
