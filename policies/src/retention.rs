//! How long what is kept: which part of a sealed window is due to be taken away.
//!
//! Nothing is, unless the operator says so. The time is the gateway's; that what is due is also gone is not decided here.

use std::num::NonZeroU32;

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// How many days after its seal a window keeps what; for good where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Payload files.
    pub payloads_days: Option<NonZeroU32>,
    /// Records, and with them the payloads.
    pub records_days: Option<NonZeroU32>,
}

/// A sealed window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// When it was sealed, in microseconds since 1970 UTC.
    pub at: i64,
    /// Whether a legal hold stands.
    pub held: bool,
    /// What went already.
    pub gone: Option<Due>,
}

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The payload files.
    Payloads,
    /// Everything but the note.
    Records,
}

impl Due {
    /// The setting that says so.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Payloads => "payloads_keep_days",
            Self::Records => "records_keep_days",
        }
    }
}

impl Keep {
    /// What is due of a window, and the days after which it is.
    pub fn due(&self, window: Sealed, now: i64) -> Option<(Due, NonZeroU32)> {
        if window.held {
            return None;
        }
        let over = |days: &NonZeroU32| now >= window.at.saturating_add(i64::from(days.get()).saturating_mul(DAY_MICROSECONDS));
        // What goes with the records need not go before them.
        let all = [(Due::Records, self.records_days), (Due::Payloads, self.payloads_days)];
        let mut due = all.into_iter().filter_map(|(what, days)| Some((what, days.filter(over)?)));
        due.next().filter(|(what, _)| window.gone.is_none_or(|gone| gone < *what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED: i64 = 1_790_000_000_000_000;

    /// What is due a microsecond before so many days are over, and then.
    fn check(keep: (u32, u32), held: bool, gone: Option<Due>, days: i64, expected: [Option<Due>; 2]) {
        let keep = Keep { payloads_days: NonZeroU32::new(keep.0), records_days: NonZeroU32::new(keep.1) };
        let then = SEALED + days * DAY_MICROSECONDS;
        let due = |now| keep.due(Sealed { at: SEALED, held, gone }, now).map(|(due, _)| due);
        assert_eq!([due(then - 1), due(then)], expected, "{keep:?} {held} {gone:?} {days} days");
    }

    #[test]
    fn what_is_due_is_due_to_the_microsecond() {
        check((90, 0), false, None, 90, [None, Some(Due::Payloads)]);
        check((0, 365), false, None, 365, [None, Some(Due::Records)]);
        check((90, 365), false, None, 365, [Some(Due::Payloads), Some(Due::Records)]);
    }

    #[test]
    fn nothing_is_due_without_a_setting_under_a_hold_or_twice() {
        check((0, 0), false, None, 10_000, [None; 2]);
        check((90, 365), true, None, 365, [None; 2]);
        check((90, 0), false, Some(Due::Payloads), 90, [None; 2]);
        check((90, 365), false, Some(Due::Records), 365, [None; 2]);
    }

    #[test]
    fn records_take_their_payloads_with_them() {
        let keep = Keep { payloads_days: NonZeroU32::new(90), records_days: NonZeroU32::new(365) };
        let due = |gone, days| keep.due(Sealed { at: SEALED, held: false, gone }, SEALED + days * DAY_MICROSECONDS);
        assert_eq!(due(None, 364).map(|(due, days)| (due, days.get())), Some((Due::Payloads, 90)));
        for gone in [None, Some(Due::Payloads)] {
            assert_eq!(due(gone, 365).map(|(due, days)| (due, days.get())), Some((Due::Records, 365)));
        }
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_due() {
        let keep = Keep { payloads_days: NonZeroU32::new(u32::MAX), records_days: NonZeroU32::new(1) };
        for now in [i64::MIN, 0, SEALED] {
            assert_eq!(keep.due(Sealed { at: SEALED, held: false, gone: None }, now), None);
        }
        assert_eq!(keep.due(Sealed { at: i64::MAX, held: false, gone: None }, i64::MAX - 1), None);
    }
}
