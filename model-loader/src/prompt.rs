//! Cleans a prompt as diffusers' Wan pipeline does before it is tokenised.

/// `text` cleaned.
#[must_use]
pub fn clean(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
