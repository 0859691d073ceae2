//! Host names: what is opened, refused or passed on unseen.

use sealgate_policies::hosts::{HostClass, classify};

/// Case and the last dot say nothing, no bucket's name hides its traffic, and a look-alike is never passed on unseen.
pub(crate) fn host(data: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(data) else { return false };
    let class = classify(name);
    assert_eq!(classify(&name.to_ascii_uppercase()), class);
    if !name.ends_with('.') {
        assert_eq!(classify(&format!("{name}.")), class);
    }
    assert_eq!(classify(&format!("{name}.s3.amazonaws.com")), HostClass::Aws);
    assert_eq!(classify(&format!("{name}.s3.eu-west-1.amazonaws.com")), HostClass::Aws);
    assert_eq!(classify(&format!("{name}.amazonaws.com.example.net")), HostClass::CloudLike);
    class != HostClass::Other
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let names = [
        "sts.us-east-1.amazonaws.com",
        "my.bucket.s3.dualstack.eu-west-1.amazonaws.com",
        "vpce-0a1b2c3d-4e5f.sts.us-east-1.vpce.amazonaws.com",
        "lambda.cn-north-1.api.amazonwebservices.com.cn",
        "0123456789ABCDEF.gr7.us-east-1.eks.amazonaws.com",
        "account.blob.core.windows.net",
        "compute.googleapis.com.",
    ];
    names.map(|name| name.as_bytes().to_vec()).into()
}
