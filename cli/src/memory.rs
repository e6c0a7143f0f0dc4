//! How much memory this process took at most.

/// The largest resident size so far in bytes, where the system tells it.
pub(crate) fn peak_resident() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    parse_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        assert_eq!(parse_status("Name:\tx\nVmHWM:\t  20480 kB\nVmRSS:\t 1 kB\n"), Some(20480 << 10));
        assert_eq!(parse_status("Name:\tx\n"), None);
        assert_eq!(parse_status("VmHWM: many"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_some() {
        assert!(peak_resident().unwrap() > 100 << 10);
    }
}
