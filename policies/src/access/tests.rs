//! Which sessions are had how, and which are not.

use super::*;

const HOUR: i64 = 3_600 * 1_000_000;

fn terms(principal: &str, kind: PrincipalKind, window: &str, duration: i64) -> Terms {
    Terms {
        window: window.to_owned().into(),
        principal: principal.to_owned().into(),
        principal_kind: kind,
        acting_for: None,
        account: None,
        role: None,
        duration,
        reason: "why".into(),
    }
}

fn scope(principals: &[&str], windows: &[&str]) -> Scope {
    let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::from(*text)).collect();
    Scope { principals: patterns(principals), windows: patterns(windows), ..Scope::default() }
}

fn access() -> Access {
    let two = NonZeroU32::new(2).unwrap();
    let case = Case { scope: scope(&[], &["PROD-*"]), approvals: two, from: vec!["bob".into(), "carol".into()] };
    let limit = Limit {
        scope: scope(&["alice"], &["PROD-*"]),
        longest: Some(SignedDuration::from_hours(2)),
        sessions: Some(1),
        accounts: vec!["staging".into(), DEFAULT_ACCOUNT.into()],
        roles: vec!["arn:*:role/read*".into(), NO_ROLE.into()],
    };
    let rule = Rule { name: "nightly".into(), scope: scope(&["ci-*"], &["CHG-*"]), longest: SignedDuration::from_mins(30) };
    Access {
        approval: Approval { case: vec![case], ..Approval::default() },
        limits: vec![limit],
        rules: vec![rule],
        break_glass: BreakGlass::default(),
    }
}

fn needs(approvals: u32, from: &[&str]) -> Way {
    let from = from.iter().map(|name| Text::from(name.to_string())).collect();
    Way::Approvals(Needs { approvals: NonZeroU32::new(approvals).unwrap(), from })
}

#[test]
fn the_first_case_that_fits_says_who_has_to_approve() {
    let way = |window: &str| access().way(&terms("dora", PrincipalKind::Human, window, HOUR), &[]);
    assert_eq!(way("CHG-1"), Ok(needs(1, &[])));
    assert_eq!(way("PROD-1"), Ok(needs(2, &["bob", "carol"])));
}

#[test]
fn a_rule_stands_for_workloads_in_its_windows_and_for_its_time_alone() {
    let way = |principal: &str, kind, window: &str, duration| access().way(&terms(principal, kind, window, duration), &[]);
    let (workload, half) = (PrincipalKind::Workload, HOUR / 2);
    assert_eq!(way("ci-1", workload, "CHG-1", half), Ok(Way::Rule("nightly".into())));
    assert_eq!(way("ci-1", workload, "CHG-1", half + 1), Ok(needs(1, &[])));
    assert_eq!(way("ci-1", PrincipalKind::Human, "CHG-1", half), Ok(needs(1, &[])));
    assert_eq!(way("ci-1", PrincipalKind::Agent, "CHG-1", half), Ok(needs(1, &[])));
    assert_eq!(way("other", workload, "CHG-1", half), Ok(needs(1, &[])));
    assert_eq!(way("ci-1", workload, "OPS-1", half), Ok(needs(1, &[])));
}

#[test]
fn a_limit_holds_for_duration_number_account_and_role() {
    let access = access();
    let check = |terms: &Terms, open: &[Subject<'_>], says: Option<&str>| {
        let done = access.way(terms, open).map(drop).map_err(|error| error.to_string());
        match says {
            None => assert_eq!(done, Ok(())),
            Some(says) => assert!(done.as_ref().unwrap_err().contains(says), "{done:?}"),
        }
    };
    let fine = terms("alice", PrincipalKind::Human, "PROD-1", 2 * HOUR);
    check(&fine, &[], None);
    check(&Terms { duration: 2 * HOUR + 1, ..fine.clone() }, &[], Some("2h at most"));
    check(&Terms { account: Some("prod".into()), ..fine.clone() }, &[], Some("may not use account prod"));
    check(&Terms { role: Some("arn:aws:iam::1:role/admin".into()), ..fine.clone() }, &[], Some("may not use role"));
    check(&Terms { role: Some("arn:aws:iam::1:role/reader".into()), ..fine.clone() }, &[], None);
    // Another window of the same kind counts, another principal's session does not.
    let (same, other) = (terms("alice", PrincipalKind::Human, "PROD-2", 1), terms("dora", PrincipalKind::Human, "PROD-1", 1));
    check(&fine, &[Subject::from(&same)], Some("may have 1"));
    check(&fine, &[Subject::from(&other)], None);
    check(&terms("alice", PrincipalKind::Human, "CHG-1", 9 * HOUR), &[Subject::from(&same)], None);
}

#[test]
fn a_session_without_an_account_or_role_is_one_of_the_default_and_of_none() {
    let mut access = access();
    access.limits = vec![Limit { accounts: vec!["staging".into()], ..Limit::default() }];
    let unnamed = terms("alice", PrincipalKind::Human, "CHG-1", 1);
    assert!(matches!(access.way(&unnamed, &[]), Err(Beyond::Account { account, .. }) if account == DEFAULT_ACCOUNT));
    access.limits = vec![Limit { roles: vec!["arn:*".into()], ..Limit::default() }];
    assert!(matches!(access.way(&unnamed, &[]), Err(Beyond::Role { role, .. }) if role == NO_ROLE));
}

#[test]
fn break_glass_has_limits_of_its_own_and_people_alone() {
    let access = access();
    assert_eq!(access.break_glass(&terms("alice", PrincipalKind::Human, "PROD-1", HOUR)), Ok(()));
    let long = access.break_glass(&terms("alice", PrincipalKind::Human, "PROD-1", HOUR + 1));
    assert!(matches!(long, Err(Beyond::Long { .. })), "{long:?}");
    let agent = access.break_glass(&terms("a1", PrincipalKind::Agent, "PROD-1", 1));
    assert!(matches!(agent, Err(Beyond::NotForBreakGlass { .. })), "{agent:?}");
    let off = Access { break_glass: BreakGlass { allowed: false, ..BreakGlass::default() }, ..access };
    assert_eq!(off.break_glass(&terms("alice", PrincipalKind::Human, "PROD-1", 1)), Err(Beyond::NoBreakGlass));
}
