//! Instants as people write and read them: RFC 3339 in whole seconds of UTC, and the times of OpenSSH's files.
//!
//! No calendar but the proleptic Gregorian one, no zone but UTC, no leap seconds: as `time` in a record has none.

/// The last instant that has a form here: 9999-12-31T23:59:59Z, in seconds since 1970.
pub const SECONDS_MAX: i64 = 253_402_300_799;

const MICROS: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Writes microseconds since 1970 as `2026-11-26T07:20:39Z`; nothing where they are no whole seconds of the years 1970 to 9999.
pub fn write(micros: i64) -> Option<String> {
    let seconds = micros / MICROS;
    if micros % MICROS != 0 || !(0..=SECONDS_MAX).contains(&seconds) {
        return None;
    }
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let second = seconds % DAY_SECONDS;
    Some(format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60))
}

/// Reads what [`write()`] writes, and nothing else, as microseconds since 1970.
pub fn read(text: &str) -> Option<i64> {
    let digits: Vec<&str> = text.strip_suffix('Z')?.split(['-', 'T', ':']).collect();
    let [year, month, day, hour, minute, second] = digits.as_slice() else { return None };
    let micros = instant(year, month, day, [hour, minute, second])?;
    (write(micros).as_deref() == Some(text)).then_some(micros)
}

/// Reads a time of an `allowed_signers` file, `YYYYMMDD[HHMM[SS]]Z`, as microseconds since 1970. Without the `Z` it would be in
/// the zone of whichever machine reads it, and is refused.
pub fn read_compact(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or("00");
    instant(part(0, 4), part(4, 6), part(6, 8), [part(8, 10), part(10, 12), part(12, 14)])
}

fn instant(year: &str, month: &str, day: &str, [hour, minute, second]: [&str; 3]) -> Option<i64> {
    let number = |text: &str, max: i64| text.parse::<i64>().ok().filter(|number| (0..=max).contains(number));
    let days = days(number(year, 9999)?, number(month, 12)?, number(day, 31)?)?;
    let seconds = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 59)?;
    let seconds = days * DAY_SECONDS + seconds;
    (0..=SECONDS_MAX).contains(&seconds).then(|| seconds * MICROS)
}

/// Days from 1970-01-01 to a date, if there is such a date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    // Years begin in March here, so that the day that comes and goes is their last.
    let (shifted, since_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = 365 * shifted + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    let days = before_year + (153 * since_march + 2) / 5 + day - 1 - 719_468;
    (days >= 0 && date(days) == (year, month, day)).then_some(days)
}

/// The date that is so many days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let since_march = (5 * day_of_year + 2) / 153;
    let month = if since_march < 10 { since_march + 3 } else { since_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day_of_year - (153 * since_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants_have_their_known_form() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_675_639, "2026-11-26T06:47:19Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (SECONDS_MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(write(seconds * MICROS).as_deref(), Some(text));
            assert_eq!(read(text), Some(seconds * MICROS));
        }
    }

    #[test]
    fn what_is_no_instant_is_not_read() {
        for bad in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        for bad in ["", "20260101", "2026010Z", "20260230Z", "202601012Z", "2026010100Z", "20260101240000Z", "+0260101Z"] {
            assert_eq!(read_compact(bad), None, "{bad}");
        }
        assert_eq!((write(-MICROS), write(1), write((SECONDS_MAX + 1) * MICROS)), (None, None, None));
        assert_eq!(read_compact("19700102Z"), Some(DAY_SECONDS * MICROS));
        assert_eq!(read_compact("197001020102Z"), read_compact("19700102010200Z"));
    }

    proptest! {
        #[test]
        fn every_second_reads_back(seconds in 0..=SECONDS_MAX) {
            let text = write(seconds * MICROS).unwrap();
            prop_assert_eq!(read(&text), Some(seconds * MICROS));
            let compact: String = text.chars().filter(|c| c.is_ascii_digit()).chain(['Z']).collect();
            prop_assert_eq!(read_compact(&compact), Some(seconds * MICROS));
        }

        #[test]
        fn hostile_text_never_panics(text: String) {
            let _ = (read(&text), read_compact(&text));
        }
    }
}
