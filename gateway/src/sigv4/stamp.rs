//! The time of a signature, `20150830T123600Z`, read and written.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::time::{Duration, SystemTime};

/// A whole second, with its spelling in a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    text: String,
    timestamp: Timestamp,
}

impl Stamp {
    /// `None` for a time before the year 0 or after 9999.
    pub(super) fn new(time: SystemTime) -> Option<Self> {
        let timestamp = Timestamp::try_from(time).ok()?;
        let at = TimeZone::UTC.to_datetime(timestamp);
        let (year, month, day) = (u32::try_from(at.year()).ok()?, at.month(), at.day());
        let text = format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
        Some(Self { text, timestamp: Timestamp::from_second(timestamp.as_second()).ok()? })
    }

    /// Reads `YYYYMMDD'T'HHMMSS'Z'`, and nothing else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
        let [date @ .., b'T', h1, h2, m1, m2, s1, s2, b'Z'] = bytes else { return None };
        let [y1, y2, y3, y4, o1, o2, d1, d2] = date;
        let year = i16::from(two(*y1, *y2)?) * 100 + i16::from(two(*y3, *y4)?);
        let (month, day) = (two(*o1, *o2)?, two(*d1, *d2)?);
        let at = DateTime::new(year, month, day, two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?, 0).ok()?;
        Some(Self { text: text.to_owned(), timestamp: TimeZone::UTC.to_timestamp(at).ok()? })
    }

    /// Reads the form of the `Date` header.
    pub(super) fn read_mail(text: &str) -> Option<Self> {
        Self::new(SystemTime::try_from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()).ok()?)
    }

    /// `20150830T123600Z`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// `20150830`.
    pub(super) fn day(&self) -> &str {
        self.text.get(..8).unwrap_or_default()
    }

    pub(super) fn time(&self) -> SystemTime {
        // A SystemTime here holds every year that a stamp can say.
        SystemTime::try_from(self.timestamp).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// How long `now` is after it, or before it.
    pub(super) fn age(&self, now: SystemTime) -> Result<Duration, Duration> {
        now.duration_since(self.time()).map_err(|before| before.duration())
    }
}

fn two(tens: u8, ones: u8) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i8::try_from(byte - b'0').ok()).flatten();
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_is_read_too() {
        let stamp = Stamp::read("20150830T123600Z");
        assert_eq!(Stamp::read_mail("Sun, 30 Aug 2015 12:36:00 GMT"), stamp);
        assert_eq!(Stamp::read_mail("Sun, 30 Aug 2015 12:36:00 -0000"), stamp);
        assert_eq!(Stamp::read_mail("20150830T123600Z"), None);
    }

    #[test]
    fn a_stamp_has_one_spelling() {
        let stamp = Stamp::read("20150830T123600Z").unwrap();
        assert_eq!(stamp.time(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160));
        assert_eq!(Stamp::new(stamp.time() + Duration::from_millis(999)).unwrap(), stamp);
        assert_eq!(stamp.day(), "20150830");
        for other in [
            "20150830t123600Z",
            "20150830T123600",
            "20150830T123660Z",
            "20150229T000000Z",
            "2015-830T123600Z",
            "20151330T123600Z",
            "",
        ] {
            assert_eq!(Stamp::read(other), None, "{other}");
        }
    }
}
