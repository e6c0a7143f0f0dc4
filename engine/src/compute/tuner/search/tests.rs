//! The choice on made-up times.
use super::*;
use std::cell::Cell;

/// What a made-up form does.
#[derive(Clone)]
enum Form {
    /// Takes so many microseconds, then, when timed again, so many.
    Takes(u64, u64),
    /// Its result differs so much.
    Differs(f64),
    Fails,
    LosesTheDevice,
}

struct Made {
    forms: Vec<Form>,
    timed: Vec<usize>,
}

impl Made {
    fn failure(&self, form: usize) -> Option<DeviceError> {
        match self.forms[form] {
            Form::Fails => Some(DeviceError::Validation("no such thing".to_owned())),
            Form::LosesTheDevice => Some(DeviceError::Lost("a reset".to_owned())),
            _ => None,
        }
    }
}

impl Trials for Made {
    async fn difference(&mut self, form: usize) -> Result<f64, DeviceError> {
        if let Some(error) = self.failure(form) {
            return Err(error);
        }
        Ok(if let Form::Differs(by) = self.forms[form] { by } else { 1e-7 })
    }

    async fn time(&mut self, form: usize) -> Result<Duration, DeviceError> {
        if let Some(error) = self.failure(form) {
            return Err(error);
        }
        let again = self.timed.contains(&form);
        self.timed.push(form);
        match self.forms[form] {
            Form::Takes(first, second) => Ok(Duration::from_micros(if again { second } else { first })),
            _ => Ok(Duration::from_micros(1)),
        }
    }

    fn tolerance(&self) -> f64 {
        1e-4
    }
}

fn search(
    forms: &[Form],
    known: Entry,
    trials_in_time: usize,
) -> (Result<Option<Entry>, DeviceError>, Vec<Entry>, Vec<usize>) {
    search_from(0, forms, known, trials_in_time)
}

fn search_from(
    likely: usize,
    forms: &[Form],
    known: Entry,
    trials_in_time: usize,
) -> (Result<Option<Entry>, DeviceError>, Vec<Entry>, Vec<usize>) {
    let names: Vec<String> = (0..forms.len()).map(|index| index.to_string()).collect();
    let mut made = Made { forms: forms.to_vec(), timed: Vec::new() };
    let left = Cell::new(trials_in_time);
    let in_time = || left.replace(left.get().saturating_sub(1)) > 0;
    let mut kept = Vec::new();
    let mut keep = |entry: &Entry| kept.push(entry.clone());
    let search = Search { forms: &names, likely, in_time: &in_time, keep: &mut keep };
    let found = pollster::block_on(search.run(known, &mut made));
    (found, kept, made.timed)
}

fn entry(forms: &[Form]) -> Entry {
    search(forms, Entry::default(), 100).0.ok().flatten().unwrap_or_else(|| panic!("no entry"))
}

#[test]
fn the_fastest_wins_if_it_is_clearly_faster() {
    use Form::Takes;
    assert_eq!(entry(&[Takes(100, 100), Takes(80, 80), Takes(50, 50), Takes(90, 90)]).form, "2");
    assert_eq!(entry(&[Takes(100, 100), Takes(98, 98)]).form, "0");
    // The first was timed while the device woke up.
    assert_eq!(entry(&[Takes(500, 70), Takes(80, 75)]).form, "0");
    assert_eq!(entry(&[Takes(100, 100)]).form, "0");
}

#[test]
fn a_heuristic_that_is_not_the_plainest_form_is_tried_early_and_must_be_right() {
    use Form::{Differs, Takes};
    let found = |forms: &[Form], time: usize| {
        let (entry, _, timed) = search_from(2, forms, Entry::default(), time);
        (entry.ok().flatten().unwrap_or_default().form, timed)
    };
    assert_eq!(found(&[Takes(100, 100), Takes(50, 50), Takes(51, 51)], 100).0, "2");
    assert_eq!(found(&[Takes(100, 100), Takes(40, 40), Takes(51, 51)], 100).0, "1");
    // Nothing is faster than a wrong form; the plainest one stands in for it.
    assert_eq!(found(&[Takes(100, 100), Takes(120, 120), Differs(0.1)], 100).0, "0");
    assert_eq!(found(&[Takes(100, 100), Takes(40, 40), Differs(0.1)], 100).0, "1");
    assert_eq!(found(&[Takes(100, 100), Takes(40, 40), Takes(51, 51)], 1), ("2".to_owned(), vec![0, 2]));
}

#[test]
fn what_is_wrong_or_fails_never_wins() {
    use Form::{Differs, Fails, Takes};
    let found = entry(&[Takes(100, 100), Differs(0.1), Differs(f64::NAN), Fails, Takes(60, 60)]);
    assert_eq!(found.form, "4");
    let why = |form: &str| match &found.tried[form] {
        Outcome::Refused(why) => why.clone(),
        Outcome::Microseconds(time) => panic!("{form} took {time}"),
    };
    assert_eq!(why("1"), "its result is off by 1.0e-1");
    assert_eq!(why("2"), "its result is off by NaN");
    assert!(why("3").contains("no such thing"));
}

#[test]
fn without_a_heuristic_that_runs_there_is_nothing_to_say() {
    let (found, kept, _) = search(&[Form::Fails, Form::Takes(1, 1)], Entry::default(), 100);
    assert!(found.is_ok_and(|entry| entry.is_none()) && kept.is_empty());
}

#[test]
fn a_form_that_brings_down_the_device_is_noted_before_and_after() {
    let (found, kept, _) = search(&[Form::Takes(9, 9), Form::LosesTheDevice], Entry::default(), 100);
    assert!(matches!(found, Err(DeviceError::Lost(_))));
    assert_eq!(kept[0].tried["1"], Outcome::Refused(UNFINISHED.to_owned()));
    assert_eq!(kept[1].tried["1"], Outcome::Refused("the device was lost: a reset".to_owned()));
    assert!(kept.iter().all(|entry| entry.form == "0"));
    // Nothing is left to try: the form is not run again.
    assert!(kept[1].covers(&["0".to_owned(), "1".to_owned()]));
}

#[test]
fn what_there_was_no_time_for_is_tried_the_next_time() {
    let forms = [Form::Takes(100, 100), Form::Takes(40, 40), Form::Takes(30, 30)];
    let names = ["0", "1", "2"].map(str::to_owned);
    let (first, _, timed) = search(&forms, Entry::default(), 1);
    let first = first.ok().flatten().unwrap_or_default();
    assert!(!timed.contains(&2) && !first.covers(&names));
    assert_eq!(first.form, "1");
    let (second, _, timed) = search(&forms, first, 2);
    let second = second.ok().flatten().unwrap_or_default();
    assert!(second.covers(&names) && timed.starts_with(&[0, 2]), "{timed:?}");
    assert_eq!(second.form, "2");
}
