//! Whether a call reads or writes, told by the first word of its operation.
//!
//! `read` is said only of words that change nothing. Calls that issue credentials count as `write`: what they give out
//! acts later.

use super::{Protocol, Request};
use http::Method;

/// `read`, `write` or `unknown`.
pub(super) fn of(operation: Option<&str>, protocol: Protocol, request: &Request<'_>) -> &'static str {
    match operation {
        Some(operation) => by_name(operation),
        None => by_method(request, protocol),
    }
}

fn by_name(operation: &str) -> &'static str {
    let within = |words: &[&str], word: &str| words.binary_search(&word).is_ok();
    let (first, rest) = first_word(operation);
    let (verb, _) = if matches!(first, "Batch" | "Admin" | "Transact") { first_word(rest) } else { (first, rest) };
    match (within(READS, verb), within(WRITES, verb)) {
        (true, _) if within(FALSE_FRIENDS, operation) => "write",
        (true, _) => "read",
        (false, true) => "write",
        (false, false) => "unknown",
    }
}

fn by_method(request: &Request<'_>, protocol: Protocol) -> &'static str {
    match (request.method, protocol) {
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, _) => "read",
        (&Method::PUT | &Method::DELETE | &Method::PATCH, _) => "write",
        // S3's one POST that only reads: SelectObjectContent.
        (&Method::POST, Protocol::S3) if request.query.is_some_and(|query| query.starts_with("select&")) => "read",
        (&Method::POST, Protocol::S3) => "write",
        _ => "unknown",
    }
}

/// `Check` of `CheckDomain`, and what follows; of `CheckoutLicense` it is `Checkout`.
fn first_word(operation: &str) -> (&str, &str) {
    let end = operation.bytes().skip(1).position(|b| !b.is_ascii_lowercase()).map_or(operation.len(), |place| place + 1);
    operation.split_at_checked(end).unwrap_or((operation, ""))
}

/// Begin like reads and give out credentials, or change what they name. Sorted, as the others are.
const FALSE_FRIENDS: &[&str] = &[
    "CheckInLicense",
    "GetAccessToken",
    "GetAuthorizationToken",
    "GetClusterCredentials",
    "GetClusterCredentialsWithIAM",
    "GetCredentials",
    "GetCredentialsForIdentity",
    "GetDataAccess",
    "GetDelegatedAccessToken",
    "GetFederationToken",
    "GetId",
    "GetInstanceAccessDetails", // Lightsail: a key and a certificate
    "GetOpenIdToken",
    "GetOpenIdTokenForDeveloperIdentity",
    "GetResourceOauth2Token",
    "GetRoleCredentials",
    "GetSessionToken",
    "GetTemporaryGluePartitionCredentials",
    "GetTemporaryGlueTableCredentials",
    "GetWebIdentityToken",
    "GetWorkloadAccessToken",
    "GetWorkloadAccessTokenForJWT",
    "GetWorkloadAccessTokenForUserId",
];

const READS: &[&str] = &[
    "Check", "Compare", "Count", "Describe", "Detect", "Discover", "Estimate", "Filter", "Get", "Head", "Is", "List", "Lookup",
    "Preview", "Query", "Scan", "Search", "Select", "Simulate", "Validate", "View",
];

const WRITES: &[&str] = &[
    "Abort",
    "Accept",
    "Acknowledge",
    "Activate",
    "Add",
    "Allocate",
    "Apply",
    "Assign",
    "Associate",
    "Assume",
    "Attach",
    "Authorize",
    "Bundle",
    "Cancel",
    "Change",
    "Claim",
    "Clone",
    "Close",
    "Complete",
    "Configure",
    "Confirm",
    "Copy",
    "Create",
    "Deactivate",
    "Decrease",
    "Delete",
    "Deploy",
    "Deprecate",
    "Deregister",
    "Detach",
    "Disable",
    "Disassociate",
    "Enable",
    "Failover",
    "Finalize",
    "Generate",
    "Grant",
    "Import",
    "Increase",
    "Initiate",
    "Insert",
    "Install",
    "Invoke",
    "Issue",
    "Join",
    "Leave",
    "Link",
    "Lock",
    "Merge",
    "Modify",
    "Move",
    "Notify",
    "Open",
    "Pause",
    "Promote",
    "Provision",
    "Publish",
    "Purchase",
    "Purge",
    "Put",
    "Reboot",
    "Rebuild",
    "Receive",
    "Record",
    "Refresh",
    "Register",
    "Reject",
    "Release",
    "Remove",
    "Rename",
    "Renew",
    "Reopen",
    "Replace",
    "Request",
    "Reset",
    "Resize",
    "Restore",
    "Resume",
    "Retire",
    "Retry",
    "Revoke",
    "Rollback",
    "Rotate",
    "Run",
    "Schedule",
    "Send",
    "Set",
    "Share",
    "Signal",
    "Split",
    "Start",
    "Stop",
    "Submit",
    "Subscribe",
    "Suspend",
    "Swap",
    "Switch",
    "Sync",
    "Tag",
    "Terminate",
    "Transfer",
    "Unassign",
    "Undeploy",
    "Unlink",
    "Unlock",
    "Unshare",
    "Unsubscribe",
    "Untag",
    "Update",
    "Upgrade",
    "Upload",
    "Withdraw",
    "Write",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted() {
        assert!([FALSE_FRIENDS, READS, WRITES].into_iter().all(<[_]>::is_sorted));
    }

    #[test]
    fn the_first_word_tells_and_false_friends_do_not() {
        let check = |expected: &str, operations: &[&str]| {
            for operation in operations {
                assert_eq!(by_name(operation), expected, "{operation}");
            }
        };
        check("read", &["GetItem", "ListUsers", "DescribeInstances", "BatchGetItem", "TransactGetItems", "Query", "Scan"]);
        check(
            "read",
            &["SimulatePrincipalPolicy", "LookupEvents", "ValidateTemplate", "AdminGetUser", "GetSecretValue", "HeadObject"],
        );
        check(
            "write",
            &["AssumeRole", "AssumeRoleWithWebIdentity", "GetSessionToken", "GetFederationToken", "GetAuthorizationToken"],
        );
        check("write", &["PutItem", "BatchWriteItem", "TransactWriteItems", "AdminCreateUser", "RunInstances", "ReceiveMessage"]);
        check("write", &["GenerateDataKey", "StartQuery", "TagResource", "SetAlarmState"]);
        check(
            "unknown",
            &[
                "CheckoutLicense",
                "ExecuteStatement",
                "VerifyEmailIdentity",
                "BatchExecuteStatement",
                "Decrypt",
                "Getaway",
                "",
                "Listen",
                "get",
            ],
        );
    }
}
