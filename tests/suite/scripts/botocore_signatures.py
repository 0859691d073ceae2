"""botocore as client and as judge of signatures.

`sign` prints requests that botocore signed, one JSON object a line. `judge` reads them after they were signed again, and
exits with an error at the first whose signature is not the one that botocore makes of it under the real credential.
"""

import json
import sys
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "eu-central-1"
SIGNERS = {"s3": (S3SigV4Auth, S3SigV4QueryAuth), "sqs": (SigV4Auth, SigV4QueryAuth)}
PATHS = ["/", "/a%20b/c", "/a//b/./c/../d", "/%C3%BC/x%2By~z", "/a(b)*'!/c:d@e,f;g=h", "/100%25"]
QUERIES = ["", "?list-type=2&prefix=a%2Fb%20c&delimiter=", "?uploads", "?b=2&a=1&B=3", "?x=%C3%BC~-_.&x-id=PutObject"]
TRAILER = {"checksum": {"request_algorithm": {"in": "trailer"}}, "payload_signing_enabled": False}


def credentials(name):
    given, real = Credentials("AKIAGIVEN", "given/secret", "given/token=="), Credentials("AKIAREAL", "real/secret", "real/token==")
    return {"given": given, "real": real}[name]


def requests():
    """Service, whether presigned, request."""
    for service in SIGNERS:
        host = f"https://{service}.{REGION}.amazonaws.com"
        for path in PATHS:
            for query in QUERIES:
                yield service, False, AWSRequest("GET", host + path + query, {"User-Agent": "botocore"})
                yield service, True, AWSRequest("GET", host + path + query, {})
        headers = {"Content-Type": "text/plain", "X-Amz-Meta-A": "  a   b ", "x-amz-target": "T", "Expect": "100-continue"}
        yield service, False, AWSRequest("PUT", host + "/k", headers, data=b"body")
        yield service, True, AWSRequest("PUT", host + "/k", headers)
        dated = AWSRequest("POST", host + "/", {"Date": "replaced"}, data=b"Action=A")
        yield service, False, dated
        unsigned = AWSRequest("PUT", host + "/k", {}, data=b"body")
        unsigned.context["payload_signing_enabled"] = False
        yield service, False, unsigned
    trailer = AWSRequest("PUT", "https://s3.amazonaws.com/k", {"Content-Encoding": "aws-chunked", "X-Amz-Trailer": "x-amz-checksum-crc32"})
    trailer.context.update(TRAILER)
    yield "s3", False, trailer


def sign():
    for service, presigned, request in requests():
        SIGNERS[service][presigned](credentials("given"), service, REGION).add_auth(request)
        body = request.body or b""
        line = {
            "service": service,
            "presigned": presigned,
            "method": request.method,
            "url": request.url,
            "headers": [[name, value] for name, value in request.headers.items()],
            "body": body.decode(),
        }
        print(json.dumps(line))


def judge():
    count = 0
    for text in sys.stdin:
        line = json.loads(text)
        headers = {name: value for name, value in line["headers"] if name.lower() != "authorization"}
        url, signature = line["url"], None
        if line["presigned"]:
            url, signature = url.rsplit("&X-Amz-Signature=", 1)
            date = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
        else:
            date = headers["x-amz-date"]
            signature = dict(line["headers"])["authorization"].rsplit("Signature=", 1)[1]
        request = AWSRequest(line["method"], url, headers, data=line["body"].encode())
        request.context["timestamp"] = date
        auth = SIGNERS[line["service"]][line["presigned"]](credentials("real"), line["service"], REGION)
        expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        if signature != expected:
            sys.exit(f"{text}\n{auth.canonical_request(request)}\nexpected {expected}")
        count += 1
    print(count)


{"sign": sign, "judge": judge}[sys.argv[1]]()
