//! Patterns of file names: `*` stands for any characters, slashes too, as in the hub's own tools.

/// Whether a whole path is what a pattern says.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, path) in [
            ("a", "a"),
            ("*", ""),
            ("*Q4_K_M.gguf", "x/wan-Q4_K_M.gguf"),
            ("a*b*c", "abbc"),
            ("a*", "a"),
            ("*a*a", "aa"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("a", "ab"), ("a", "b"), ("", "a"), ("a*a", "a"), ("*.gguf", "a.gguf.txt"), ("a*b*c", "acb")]
        {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
