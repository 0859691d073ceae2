//! Patterns for names, subjects and SPIFFE IDs: literal text with `*` and `**`.
//!
//! `*` stands for any run of characters but `/` and `:`, the two that subjects and paths are divided by, so that
//! `repo:acme/*:ref:refs/heads/main` fits no repository that somebody named cleverly. `**` stands for any run at all.

use std::fmt;

/// The longest pattern, in bytes: a subject of the longest kind, and some.
pub const PATTERN_BYTES_MAX: usize = 512;

/// What a text is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    One(char),
    /// `*`
    Part,
    /// `**`
    Any,
}

impl Step {
    /// Whether it may stand for more than one character, `c` among them.
    fn takes(self, c: char) -> bool {
        match self {
            Self::One(_) => false,
            Self::Part => !is_divider(c),
            Self::Any => true,
        }
    }

    fn is_wild(self) -> bool {
        !matches!(self, Self::One(_))
    }
}

fn is_divider(c: char) -> bool {
    c == '/' || c == ':'
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!("{:?} is not a pattern: a line of 1 to {PATTERN_BYTES_MAX} bytes", text.get(..80).unwrap_or(text)));
        }
        let (mut steps, mut rest) = (Vec::with_capacity(text.len()), text.chars().peekable());
        while let Some(c) = rest.next() {
            let step = match c {
                '*' if rest.next_if_eq(&'*').is_some() => Step::Any,
                '*' => Step::Part,
                c => Step::One(c),
            };
            if step.is_wild() && steps.last().is_some_and(|last: &Step| last.is_wild()) {
                return Err(format!("{text:?} has more than two * in a row"));
            }
            steps.push(step);
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// Whether it is literal text.
    pub fn is_literal(&self) -> bool {
        !self.steps.iter().any(|step| step.is_wild())
    }

    /// Whether it fits everything, and so says nothing.
    pub fn is_anything(&self) -> bool {
        matches!(*self.steps, [Step::Any | Step::Part])
    }

    /// Whether `text` fits. Takes the product of both lengths at most, whatever they hold.
    pub fn matches(&self, text: &str) -> bool {
        // The steps that may be next, as a set: a text can't make this look back.
        let mut next = vec![false; self.steps.len() + 1];
        self.reach(&mut next, 0);
        for c in text.chars() {
            let mut after = vec![false; self.steps.len() + 1];
            for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| next.get(*at) == Some(&true)) {
                match step {
                    Step::One(one) if *one == c => self.reach(&mut after, at + 1),
                    wild if wild.takes(c) => self.reach(&mut after, at),
                    _ => {}
                }
            }
            next = after;
        }
        next.last() == Some(&true)
    }

    /// Marks `at`, and what lies behind wildcards that stand for nothing.
    fn reach(&self, marks: &mut [bool], mut at: usize) {
        while let Some(mark) = marks.get_mut(at) {
            *mark = true;
            if !self.steps.get(at).is_some_and(|step| step.is_wild()) {
                return;
            }
            at += 1;
        }
    }

    /// Whether some text fits both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let width = other.steps.len() + 1;
        let mut seen = vec![false; (self.steps.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((a, b)) = open.pop() {
            match seen.get_mut(a * width + b) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            let steps = (self.steps.get(a).copied(), other.steps.get(b).copied());
            if steps == (None, None) {
                return true;
            }
            // A wildcard may end here, whatever the other does.
            if steps.0.is_some_and(Step::is_wild) {
                open.push((a + 1, b));
            }
            if steps.1.is_some_and(Step::is_wild) {
                open.push((a, b + 1));
            }
            match steps {
                (Some(Step::One(x)), Some(Step::One(y))) if x == y => open.push((a + 1, b + 1)),
                (Some(Step::One(x)), Some(wild)) if wild.takes(x) => open.push((a + 1, b)),
                (Some(wild), Some(Step::One(y))) if wild.takes(y) => open.push((a, b + 1)),
                _ => {}
            }
        }
        false
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_stays_between_dividers_and_two_do_not() {
        for (text, fits, fits_not) in [
            ("alice", vec!["alice"], vec!["", "alic", "alicee", "Alice"]),
            ("team-*", vec!["team-", "team-a"], vec!["team", "team-a/b", "team-a:b"]),
            ("repo:acme/*:ref:refs/heads/main", vec!["repo:acme/x:ref:refs/heads/main"], vec!["repo:acme/x:y:ref:refs/heads/main"]),
            ("spiffe://a/ns/*/sa/d", vec!["spiffe://a/ns/n/sa/d"], vec!["spiffe://a/ns/n/x/sa/d", "spiffe://a/ns/n/sa/dd"]),
            ("refs/heads/**", vec!["refs/heads/a/b:c"], vec!["refs/tags/a"]),
            ("a**b*c", vec!["abc", "a/b:bxc", "abbc"], vec!["ab/c", "ac"]),
        ] {
            fits.iter().for_each(|case| assert!(pattern(text).matches(case), "{text} {case}"));
            fits_not.iter().for_each(|case| assert!(!pattern(text).matches(case), "{text} {case}"));
        }
        for bad in ["", "a***", "a\nb", &"x".repeat(PATTERN_BYTES_MAX + 1)] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn patterns_overlap_where_one_text_fits_both() {
        for (a, b, overlap) in [
            ("a*", "*b", true),
            ("a*", "b*", false),
            ("a/*", "a/b/*", false),
            ("a/**", "a/b/*", true),
            ("*", "a:b", false),
            ("x*z", "xy", false),
            ("**", "*", true),
        ] {
            assert_eq!(pattern(a).overlaps(&pattern(b)), overlap, "{a} {b}");
        }
    }

    /// The same by looking back, as one would first write it.
    fn slowly(steps: &[Step], text: &[char]) -> bool {
        match (steps, text) {
            ([], []) => true,
            ([Step::One(a), steps @ ..], [b, text @ ..]) => a == b && slowly(steps, text),
            ([wild, rest @ ..], text) if wild.is_wild() => {
                slowly(rest, text) || text.split_first().is_some_and(|(c, text)| wild.takes(*c) && slowly(steps, text))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_looking_back(steps in "[ab/*]{1,9}", text in "[ab/]{0,9}") {
            if let Ok(pattern) = Pattern::parse(&steps) {
                let chars: Vec<_> = text.chars().collect();
                prop_assert_eq!(pattern.matches(&text), slowly(&pattern.steps, &chars));
            }
        }

        #[test]
        fn what_fits_both_is_an_overlap(a in "[ab/*]{1,6}", b in "[ab/*]{1,6}", text in "[ab/]{0,6}") {
            if let (Ok(a), Ok(b)) = (Pattern::parse(&a), Pattern::parse(&b)) {
                prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
                prop_assert!(!(a.matches(&text) && b.matches(&text)) || a.overlaps(&b));
                if a.is_literal() {
                    prop_assert_eq!(a.overlaps(&b), b.matches(&a.to_string()));
                }
            }
        }
    }
}
